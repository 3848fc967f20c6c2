"""Build the images, run them, and ask each for a video: `make image-check`.

It needs root and Debian's mmdebstrap, buildah, podman and runc, and no daemon. pip's settings on
this machine (index, links, certificates) are handed on to the builds. Two images: that of
`deploy/Dockerfile`, and that of `bentoml containerize` with buildah.
"""

from __future__ import annotations

import argparse
import socket
import sys
from pathlib import Path

from deploy.image_builder import ROOT, CheckFailed, ImageBuilder
from deploy.running_image import hardening, running
from video.clip import decode_mp4, read_provenance

OURS, BENTO = "localhost/palimpsest:check", "localhost/palimpsest:bento-check"
USERS = {OURS: 10001, BENTO: 1034}
"""User in the image: of `deploy/Dockerfile`, and BentoML's."""


def main() -> None:
    """Run the checks that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, default=ROOT / ".work" / "image-check")
    parser.add_argument(
        "--base", help="base image, such as python:3.11-slim, in place of one made here"
    )
    parser.add_argument("--only", choices=["dockerfile", "bento"], help="one of the two images")
    given = parser.parse_args()
    try:
        builder = ImageBuilder(given.work.absolute(), given.base)
    except CheckFailed as error:
        raise SystemExit(str(error)) from error
    try:
        builder.make_base()
        say(
            "base",
            f"{builder.megabytes('python:3.11-slim'):.0f} MB, storage driver {builder.driver}",
        )
        if given.only != "bento":
            say("deploy/Dockerfile", f"built in {builder.build(OURS):.0f} s")
            check_refusal_without_keys(builder)
            check(builder, OURS, given.work.absolute())
        if given.only != "dockerfile":
            say("bentoml containerize", f"built in {builder.build_bento(BENTO):.0f} s")
            check(builder, BENTO, given.work.absolute())
    except CheckFailed as error:
        raise SystemExit(f"image-check failed: {error}") from error
    finally:
        builder.remove()


def check(builder: ImageBuilder, image: str, work: Path) -> None:
    """Run an image and check what it promises.

    Raises:
        CheckFailed: It does not keep a promise.
    """
    say(image, f"{builder.megabytes(image):.0f} MB")
    folder, user, port = work / "volumes", USERS[image], free_port()
    with running(builder, image, folder, user=user, port=port, has_cli=image == OURS) as server:
        say("  ready", f"after {server.wait_until_ready():.1f} s")
        expect(server.inside("id", "-u") == str(user), f"the server's user is not {user}")
        status = server.inside("cat", "/proc/1/status")
        expect("CapEff:\t0000000000000000" in status, "process 1 has capabilities")
        wrote = server.inside("sh", "-c", "touch /written 2> /dev/null && echo yes")
        expect(wrote != "yes", "the root file system can be written")
        if image == OURS:  # BentoML's has no HEALTHCHECK
            expect(server.is_healthy(), "the HEALTHCHECK fails")
        mp4 = server.make_video()
        frames, provenance = decode_mp4(mp4), read_provenance(mp4)
        expect(mp4[4:8] == b"ftyp" and len(frames) == 12, f"the video has {len(frames)} frames")
        expect(provenance["seed"] == 1, f"the video's provenance is {provenance}")
        say("  video", f"mp4 of {len(mp4)} bytes, {len(frames)} frames")
        server.begin_video(steps=50)  # so that there is work under way
        say("  stopped", f"by SIGTERM in {server.stop():.1f} s, exit status 0")


def check_refusal_without_keys(builder: ImageBuilder) -> None:
    """Check that a container without keys ends at once: it would listen beyond its own loopback.

    Raises:
        CheckFailed: It runs, or it says something else.
    """
    try:
        builder.run("podman", "run", "--rm", *hardening(), OURS)
    except CheckFailed as error:
        expect(
            "palimpsest keys create" in str(error),
            f"without keys it ends for another reason: {error}",
        )
        return
    raise CheckFailed("a server without keys listens on every address")


def expect(holds: bool, otherwise: str) -> None:
    """Raise CheckFailed with a text unless a condition holds."""
    if not holds:
        raise CheckFailed(otherwise)


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def say(what: str, found: str) -> None:
    """Print a line of the result."""
    print(f"{what:32} {found}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
