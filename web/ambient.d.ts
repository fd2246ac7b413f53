// What browsers have and TypeScript's DOM library does not say (yet).

/** Chromium: a video track that plays the frames written to it. */
declare class MediaStreamTrackGenerator extends MediaStreamTrack {
  constructor(options: { kind: "video" });
  readonly writable: WritableStream<VideoFrame>;
}

interface RTCRtpReceiver {
  /** Chromium's older name for `jitterBufferTarget`, in seconds. */
  playoutDelayHint?: number | null;
}
