/**
 * The words the modules share. Types only: nothing here runs.
 */

/**
 * What went wrong, in the gateway's own shape (application/problem+json) or made here.
 * @typedef {object} Problem
 * @property {string} code
 * @property {string} message What was expected and what came.
 * @property {string} remedy What the person in front of the page can do.
 * @property {"never" | "same" | "elsewhere"} retry Whether trying again by itself could help.
 */

/** @typedef {"test" | "camera" | "screen"} CaptureKind What this page can send by itself. */
/** @typedef {CaptureKind | "obs"} SourceKind */
/** @typedef {Record<string, unknown>} Params */

/**
 * @typedef {object} PipelineInfo
 * @property {string} name
 * @property {string} title
 * @property {string} description
 * @property {Record<string, unknown>} schema JSON schema of an object.
 * @property {Params} defaults
 */

/** @typedef {"waiting" | "starting" | "live" | "restarting" | "degraded" | "failed" | "ended"} StreamState */

/**
 * The gateway's word on one stream: GET …/status, and each event of …/events.
 * @typedef {object} StreamStatus
 * @property {string} stream
 * @property {StreamState} state
 * @property {string} message
 * @property {MediaSide & {protocol: string | null, video: string | null, audio: string | null}} input
 * @property {MediaSide} output
 * @property {{p50: number | null, p95: number | null}} latency_ms From gateway in to gateway out.
 * @property {number} dropped
 * @property {string | null} pipeline
 * @property {Params | null} params
 * @property {string | null} orchestrator
 * @property {{id: string, state: string, restarts: number} | null} runner
 * @property {number} viewers
 * @property {{code: string, message: string, remedy: string} | null} problem
 */

/**
 * @typedef {object} MediaSide
 * @property {number} fps
 * @property {number} frames
 * @property {number | null} width
 * @property {number | null} height
 */

/**
 * GET /node
 * @typedef {object} NodeInfo
 * @property {string} version
 * @property {string} rtmp_url
 * @property {string[]} orchestrators
 * @property {string} default_pipeline
 */

export {};
