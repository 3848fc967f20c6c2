"""Train the built-in model: `python -m starter.train`. An interrupted run can be resumed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import nn
from transformers import CLIPTokenizer

from starter.tokenizer import train_tokenizer
from starter.train import data_parallel, parts
from starter.train.autoencoder import new_autoencoder, new_solved_autoencoder, train_decoder
from starter.train.clips import train_clips
from starter.train.data import latents_of
from starter.train.judge import new_judge, train_judge
from starter.train.release import load_release, release
from starter.train.stills import train_stills
from starter.train.text import train_text
from unlearn.judges.classifier import ClassifierJudge

WEIGHTS = Path(__file__).parents[1] / "weights"


def main(
    work: Annotated[Path, typer.Option(help="Where checkpoints and latents are kept.")] = Path(
        ".work/starter"
    ),
    weights: Annotated[Path, typer.Option(help="Where the finished model is written.")] = WEIGHTS,
    further: Annotated[
        bool,
        typer.Option(help="Start from the released weights: train denoisers and judge on."),
    ] = False,
    threads: Annotated[int, typer.Option(help="Threads of the CPU to use.")] = 2,
    decoder_steps: int = 2_400,
    text_steps: int = 500,
    stills_steps: int = 5_200,
    clips_steps: int = 12_000,
    judge_frame_steps: int = 3_600,
    judge_motion_steps: int = 900,
    stills_count: int = 40_000,
    clips_count: int = 8_000,
) -> None:
    """Run every stage in turn: decoder, text encoder, stills, clips, judge; then the release.

    A finished stage is loaded; an interrupted one resumes from its checkpoint. To train a released
    model further, give a new work folder. To train on several cores, start it with
    `torchrun --nproc-per-node 2 -m starter.train --threads 1`.
    """
    data_parallel.join()
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    work.mkdir(parents=True, exist_ok=True)
    if not further and data_parallel.rank() == 0:
        train_tokenizer(work / "tokenizer")
    data_parallel.wait()
    tokenizer = CLIPTokenizer.from_pretrained((weights if further else work) / "tokenizer")
    torch.manual_seed(1)
    text_encoder, unet = parts.new_text_encoder(tokenizer), parts.new_unet()
    adapter, scheduler = parts.new_motion_adapter(), parts.new_scheduler()

    vae = new_autoencoder() if further else new_solved_autoencoder()
    both = {"text_encoder": text_encoder, "unet": unet}
    if further:
        load_release(weights, text_encoder, vae, unet, adapter)
    elif not _finished(work, "decoder", {"vae": vae}):
        train_decoder(vae, work, decoder_steps)
    stills = latents_of(vae, stills_count, 101, False, work / "stills.npy")
    clips = latents_of(vae, clips_count, 102, True, work / "clips.npy")
    if not further and not _finished(work, "stills", both):
        train_text(text_encoder, tokenizer, work, text_steps)
        train_stills(text_encoder, tokenizer, unet, scheduler, stills, work, steps=stills_steps)
    if not _finished(work, "clips", {"unet": unet, "adapter": adapter}):
        train_clips(
            text_encoder,
            tokenizer,
            unet,
            adapter,
            scheduler,
            clips,
            stills,
            work,
            steps=clips_steps,
        )
    judge = ClassifierJudge.load(weights / "judge") if further else new_judge()
    train_judge(judge, work, judge_frame_steps, judge_motion_steps)
    if data_parallel.rank() == 0:
        release(weights, tokenizer, text_encoder, vae, unet, adapter, scheduler)
        judge.save(weights / "judge")
    data_parallel.wait()


def _finished(work: Path, stage: str, modules: Mapping[str, nn.Module]) -> bool:
    """Load a stage's result, and return False if there is none."""
    path = work / f"{stage}.pt"
    if not path.exists():
        return False
    nn.ModuleDict(dict(modules)).load_state_dict(torch.load(path, weights_only=True))
    return True


if __name__ == "__main__":
    typer.run(main)
