// One clock for several clips: they play, pause, loop and are scrubbed in step.
const DRIFT = 1.5; // frames that a clip may be off before it is put right

export class Clock {
  frame = 0;
  playing = false;
  loops = true;
  #videos = new Set();
  #began = 0; // performance.now() at which frame 0 was shown
  #request = 0;

  /**
   * @param {number} frames of each clip
   * @param {number} fps
   * @param {(clock: Clock) => void} onChange is called when something above has changed
   */
  constructor(frames, fps, onChange) {
    Object.assign(this, { frames, fps, onChange });
  }

  /** Let a clip follow the clock. Return a function that ends this. */
  add(video) {
    this.#videos.add(video);
    video.currentTime = this.#timeOf(this.frame);
    if (this.playing) video.play().catch(() => {});
    return () => this.#videos.delete(video);
  }

  play() {
    if (this.frame >= this.frames - 1) this.frame = 0;
    this.playing = true;
    this.#began = performance.now() - (1000 * this.frame) / this.fps;
    for (const video of this.#videos) {
      video.currentTime = this.#timeOf(this.frame);
      video.play().catch(() => {});
    }
    cancelAnimationFrame(this.#request);
    this.#request = requestAnimationFrame(() => this.#tick());
    this.onChange(this);
  }

  pause() {
    this.seek(this.frame);
  }

  toggleLoop() {
    this.loops = !this.loops;
    this.onChange(this);
  }

  /** Pause, and show a frame. */
  seek(frame) {
    this.playing = false;
    cancelAnimationFrame(this.#request);
    this.frame = Math.max(0, Math.min(this.frames - 1, frame));
    for (const video of this.#videos) {
      video.pause();
      video.currentTime = this.#timeOf(this.frame);
    }
    this.onChange(this);
  }

  /** End for good. */
  close() {
    cancelAnimationFrame(this.#request);
    this.#videos.clear();
  }

  #timeOf(frame) {
    return (frame + 0.5) / this.fps; // the middle: at a border the browser may show the one before
  }

  #tick() {
    let seconds = (performance.now() - this.#began) / 1000;
    const length = this.frames / this.fps;
    if (seconds >= length) {
      if (!this.loops) return this.seek(this.frames - 1);
      seconds %= length;
      this.#began = performance.now() - 1000 * seconds;
      for (const video of this.#videos) {
        video.currentTime = seconds;
        video.play().catch(() => {});
      }
    }
    for (const video of this.#videos) {
      const isOff = Math.abs(video.currentTime - seconds) > DRIFT / this.fps;
      if (isOff && !video.seeking && !video.ended) video.currentTime = seconds;
    }
    const frame = Math.min(this.frames - 1, Math.floor(seconds * this.fps));
    if (frame !== this.frame) {
      this.frame = frame;
      this.onChange(this);
    }
    this.#request = requestAnimationFrame(() => this.#tick());
  }
}
