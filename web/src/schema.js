/**
 * What controls a pipeline needs, from the JSON schema of its parameters. Pure.
 *
 * Understands what pydantic writes: numbers with bounds, booleans, enums (also behind `$ref`),
 * literals, colours, text, and any of these or null; `x-step` and `x-unit` are our pipelines' own
 * hints. Anything else becomes a line of JSON, so that no parameter is out of reach.
 */

/** @import {Params, PipelineInfo} from "./types.js" */

/**
 * @typedef {object} Common
 * @property {string} name
 * @property {string} title
 * @property {string} description
 * @property {unknown} initial
 */

/**
 * @typedef {(Common & (
 *   Slider | NumberBox |
 *   {kind: "switch"} |
 *   {kind: "select", choices: {value: unknown, label: string}[]} |
 *   {kind: "colour", bytes: boolean} |
 *   {kind: "text", max: number | null} |
 *   {kind: "json"}
 * ))} Control
 */

/** @typedef {{kind: "slider", min: number, max: number, step: number, unit: string}} Slider */
/**
 * @typedef {object} NumberBox
 * @property {"number"} kind
 * @property {number | null} min
 * @property {number | null} max
 * @property {number | "any"} step
 */

/** @typedef {Record<string, any>} Schema */

// A slider wants about this many positions: fine enough to feel even, coarse enough for the keys.
const POSITIONS = 100;

/**
 * @param {PipelineInfo} pipeline
 * @returns {Control[]}
 */
export function controlsOf(pipeline) {
  const root = /** @type {Schema} */ (pipeline.schema);
  const properties = /** @type {Record<string, Schema>} */ (root.properties ?? {});
  return Object.entries(properties)
    .filter(([name]) => name !== "model_id") // the effect picker's business
    .map(([name, property]) => control(name, resolve(property, root), pipeline.defaults));
}

/**
 * @param {string} name
 * @param {Schema} schema
 * @param {Params} defaults
 * @returns {Control}
 */
function control(name, schema, defaults) {
  const common = {
    name,
    title: schema.title ?? name.replaceAll("_", " "),
    description: schema.description ?? "",
    initial: name in defaults ? defaults[name] : schema.default,
  };
  if (Array.isArray(schema.enum)) {
    const choices = schema.enum.map((value) => ({ value, label: label(value) }));
    return { ...common, kind: "select", choices };
  }
  switch (schema.type) {
    case "boolean":
      return { ...common, kind: "switch" };
    case "integer":
    case "number":
      return { ...common, ...numeric(schema) };
    case "string":
      if (isColour(schema, common.initial)) return { ...common, kind: "colour", bytes: false };
      return { ...common, kind: "text", max: schema.maxLength ?? null };
    case "array":
      if (isRgb(schema)) return { ...common, kind: "colour", bytes: true };
  }
  return { ...common, kind: "json" };
}

/**
 * @param {Schema} schema
 * @returns {Slider | NumberBox}
 */
function numeric(schema) {
  const whole = schema.type === "integer";
  const given = schema.multipleOf ?? schema["x-step"] ?? (whole ? 1 : null);
  const span = bound(schema, "maximum") - bound(schema, "minimum");
  const step = given ?? (Number.isFinite(span) && span > 0 ? nice(span / POSITIONS) : null);
  // A bound that may not itself be reached is one step away.
  const nudge = step ?? 0;
  const min = schema.minimum ?? add(schema.exclusiveMinimum, nudge);
  const max = schema.maximum ?? add(schema.exclusiveMaximum, -nudge);
  if (min !== null && max !== null && step !== null && max > min) {
    return { kind: "slider", min, max, step, unit: schema["x-unit"] ?? "" };
  }
  // A hint how far to slide is no reason to refuse what is typed between two steps.
  return { kind: "number", min, max, step: schema.multipleOf ?? (whole ? 1 : "any") };
}

/**
 * @param {Schema} schema
 * @param {"minimum" | "maximum"} side
 */
function bound(schema, side) {
  const exclusive = side === "minimum" ? "exclusiveMinimum" : "exclusiveMaximum";
  return Number(schema[side] ?? schema[exclusive] ?? NaN);
}

/**
 * @param {number | undefined} value
 * @param {number} nudge
 * @returns {number | null}
 */
function add(value, nudge) {
  // Through decimal text, or 0 + 0.1 + 0.2 would end in many fours.
  return value === undefined ? null : Number((value + nudge).toPrecision(12));
}

/**
 * The round number (1, 2 or 5 times a power of ten) not above x.
 * @param {number} x
 */
function nice(x) {
  const power = 10 ** Math.floor(Math.log10(x) + 1e-9);
  const factor = x / power >= 5 - 1e-9 ? 5 : x / power >= 2 - 1e-9 ? 2 : 1;
  return Number((factor * power).toPrecision(6));
}

/**
 * Follows `$ref`, looks through "or null", turns `const` and literals into enums.
 * @param {Schema} schema
 * @param {Schema} root
 * @returns {Schema}
 */
function resolve(schema, root, depth = 0) {
  if (depth > 8) return schema; // a schema that refers to itself becomes JSON
  const around = { ...schema };
  for (const key of ["$ref", "allOf", "anyOf", "oneOf"]) delete around[key];
  const inner = (/** @type {Schema} */ found) => ({ ...resolve(found, root, depth + 1), ...around });
  if (typeof schema.$ref === "string") {
    const found = schema.$ref
      .replace(/^#\//, "")
      .split("/")
      .reduce((/** @type {any} */ node, step) => node?.[step], root);
    return found ? inner(found) : schema;
  }
  if (schema.allOf?.length === 1) return inner(schema.allOf[0]);
  const any = schema.anyOf ?? schema.oneOf;
  if (Array.isArray(any)) {
    const real = any.filter((option) => option.type !== "null");
    if (real.length === 1) return inner(real[0]);
  }
  return "const" in schema ? { ...schema, enum: [schema.const] } : schema;
}

/**
 * @param {Schema} schema
 * @param {unknown} initial
 */
function isColour(schema, initial) {
  if (schema.format === "color" || schema.format === "colour") return true;
  return /a-f/i.test(schema.pattern ?? "") && /^#[0-9a-f]{6}$/i.test(String(initial));
}

/** @param {Schema} schema */
function isRgb(schema) {
  const each = schema.prefixItems ?? [schema.items];
  const count = schema.prefixItems?.length ?? (schema.minItems === schema.maxItems ? schema.maxItems : 0);
  return count === 3 && each.every((/** @type {Schema} */ item) => item?.type === "integer" && item.maximum === 255);
}

/** @param {unknown} value */
function label(value) {
  const text = String(value).replaceAll(/[_-]/g, " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/**
 * @param {Control[]} controls
 * @returns {Params}
 */
export function initialParams(controls) {
  return Object.fromEntries(
    controls.filter(({ initial }) => initial !== undefined).map(({ name, initial }) => [name, initial]),
  );
}
