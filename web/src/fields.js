/**
 * One control of a parameter as a row of the form: label, input, value, hint.
 */

import { element } from "./dom.js";

/** @import {Control} from "./schema.js" */

/**
 * @typedef {object} Field
 * @property {HTMLElement} row
 * @property {(value: unknown) => void} set Shows a value that came from elsewhere.
 */

/**
 * What differs between kinds of input.
 * @typedef {object} Widget
 * @property {HTMLInputElement | HTMLSelectElement} input
 * @property {() => unknown} read Undefined while what stands there is not a value.
 * @property {(value: unknown) => void} write
 * @property {((value: unknown) => string) | null} say For the value column; null for none.
 */

/**
 * @param {Control} control
 * @param {unknown} value
 * @param {(value: unknown) => void} changed
 * @returns {Field}
 */
export function field(control, value, changed) {
  const id = `param-${control.name}`;
  const widget = widgetOf(control);
  widget.input.id = id;
  const label = element("label", { for: id }, sentenceCase(control.title));
  const row = element("div", { class: "control" }, label, widget.input);
  // Not an <output>: that is a live region, and the input itself already says its value.
  const figure = widget.say ? element("span", { class: "value", "aria-hidden": "true" }) : null;
  if (figure) row.append(figure);
  if (control.description) {
    widget.input.setAttribute("aria-describedby", `${id}-hint`);
    row.append(element("p", { class: "hint", id: `${id}-hint` }, control.description));
  }
  const show = (/** @type {unknown} */ now) => {
    if (figure && widget.say) figure.textContent = widget.say(now);
  };
  widget.write(value);
  show(value);
  widget.input.addEventListener("input", () => {
    const now = widget.read();
    const bad = now === undefined || !widget.input.checkValidity();
    row.toggleAttribute("data-bad", bad);
    widget.input.setAttribute("aria-invalid", String(bad));
    if (bad) return;
    show(now);
    changed(now);
  });
  return {
    row,
    set: (now) => {
      if (document.activeElement === widget.input && widget.input.matches(":active")) return;
      widget.write(now);
      show(now);
    },
  };
}

/**
 * @param {Control} control
 * @returns {Widget}
 */
function widgetOf(control) {
  switch (control.kind) {
    case "slider": {
      const { min, max, step, unit } = control;
      const input = element("input", { type: "range", min, max, step });
      const digits = Math.min(4, (String(step).split(".")[1] ?? "").length);
      const say = (/** @type {unknown} */ value) => {
        return `${Number(value ?? min).toFixed(digits)} ${unit}`.trim();
      };
      const fill = () => {
        if (unit) input.setAttribute("aria-valuetext", say(input.value));
        input.style.setProperty("--fill", `${((input.valueAsNumber - min) / (max - min)) * 100}%`);
      };
      input.addEventListener("input", fill);
      return {
        input,
        read: () => input.valueAsNumber,
        write: (value) => {
          input.value = String(value ?? min);
          fill();
        },
        say,
      };
    }
    case "number": {
      const input = element("input", { type: "number", step: control.step });
      if (control.min !== null) input.min = String(control.min);
      if (control.max !== null) input.max = String(control.max);
      return {
        input,
        read: () => (Number.isFinite(input.valueAsNumber) ? input.valueAsNumber : undefined),
        write: (value) => (input.value = value === null || value === undefined ? "" : String(value)),
        say: null,
      };
    }
    case "switch": {
      const input = element("input", { type: "checkbox", role: "switch" });
      return {
        input,
        read: () => input.checked,
        write: (value) => (input.checked = value === true),
        say: null,
      };
    }
    case "select": {
      const { choices } = control;
      const options = choices.map(({ label }, i) => element("option", { value: i }, label));
      const input = element("select", {}, ...options);
      return {
        input,
        read: () => choices[input.selectedIndex]?.value,
        write: (value) => (input.selectedIndex = choices.findIndex((each) => each.value === value)),
        say: null,
      };
    }
    case "colour": {
      const input = element("input", { type: "color" });
      const { bytes } = control;
      return {
        input,
        read: () => (bytes ? bytesOf(input.value) : input.value),
        write: (value) => (input.value = Array.isArray(value) ? hexOf(value) : String(value)),
        say: (value) => (Array.isArray(value) ? hexOf(value) : String(value)),
      };
    }
    case "text": {
      const input = element("input", { type: "text", spellcheck: "false" });
      if (control.max !== null) input.maxLength = control.max;
      return {
        input,
        read: () => input.value,
        write: (value) => (input.value = value === null || value === undefined ? "" : String(value)),
        say: null,
      };
    }
    case "json": {
      const input = element("input", { type: "text", spellcheck: "false" });
      return {
        input,
        read: () => parsed(input.value),
        write: (value) => (input.value = JSON.stringify(value ?? null)),
        say: null,
      };
    }
  }
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** @param {number[]} bytes */
function hexOf(bytes) {
  return `#${bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** @param {string} hex */
function bytesOf(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

/** "Glow Radius", as pydantic titles things, reads better as "Glow radius". @param {string} title */
function sentenceCase(title) {
  const [first = "", ...rest] = title.split(" ");
  const lower = rest.map((word) => (/^[A-Z][a-z]+$/.test(word) ? word.toLowerCase() : word));
  return [first.charAt(0).toUpperCase() + first.slice(1), ...lower].join(" ");
}
