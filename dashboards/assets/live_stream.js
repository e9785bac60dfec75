// One WebSocket: a snapshot, then numbered frames. A missing number asks for a new snapshot; a lost
// connection is tried again with growing pauses. What is shown is told by `on(state)`.
(function () {
  "use strict";
  const FIRST_PAUSE_MS = 500;
  const LONGEST_PAUSE_MS = 10000;

  class LiveStream {
    // handlers: snapshot(data, ts), delta(data, ts), state("connecting" | "live" | "reconnecting" | "refused", attempt)
    constructor(path, handlers) {
      const scheme = window.location.protocol === "https:" ? "wss://" : "ws://";
      this.address = scheme + window.location.host + path;
      this.handlers = handlers;
      this.sequence = null; // of the newest applied frame; null while a snapshot is awaited
      this.attempt = 0;
      this.lastFrame = 0;
      this.resyncs = 0;
      window.addEventListener("online", () => this.hurry());
      document.addEventListener("visibilitychange", () => this.hurry());
    }

    open() {
      window.clearTimeout(this.timer);
      this.sequence = null;
      this.handlers.state(this.attempt ? "reconnecting" : "connecting", this.attempt);
      this.socket = new WebSocket(this.address);
      this.socket.onmessage = (event) => this.receive(JSON.parse(event.data));
      this.socket.onclose = (event) => this.closed(event.code);
    }

    receive(frame) {
      this.lastFrame = Date.now();
      if (frame.kind === "snapshot") {
        this.sequence = frame.seq;
        this.attempt = 0;
        this.handlers.snapshot(frame.data, frame.ts);
        this.handlers.state("live", 0);
      } else if (frame.kind === "delta" && this.sequence !== null && frame.seq > this.sequence) {
        if (frame.seq === this.sequence + 1) {
          this.sequence = frame.seq;
          this.handlers.delta(frame.data, frame.ts);
        } else {
          this.resync();
        }
      }
    }

    // Frames until the new snapshot are covered by it.
    resync() {
      this.sequence = null;
      this.resyncs += 1;
      this.socket.send(JSON.stringify({ resync: true }));
    }

    closed(code) {
      this.sequence = null;
      if (code === 4403) return this.handlers.state("refused", 0);
      this.attempt += 1;
      this.handlers.state("reconnecting", this.attempt);
      const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this.attempt - 1));
      this.timer = window.setTimeout(() => this.open(), pause * (0.75 + 0.5 * Math.random()));
    }

    // The network is back, or somebody looks again: no reason to wait out the pause.
    hurry() {
      const waiting = this.socket && this.socket.readyState === WebSocket.CLOSED;
      if (waiting && document.visibilityState === "visible") this.open();
    }
  }

  window.heliographLiveStream = LiveStream;
})();
