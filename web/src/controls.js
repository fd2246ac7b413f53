/**
 * The effect picker, and the controls that each effect's schema asks for.
 *
 * It remembers what was set for every effect, so that trying another one loses nothing. It does
 * not know whether anything is live: it says what was chosen, and adopts what it is told.
 */

import { element, find } from "./dom.js";
import { controlsOf, initialParams } from "./schema.js";
import { field } from "./fields.js";

/** @import {Field} from "./fields.js" */
/** @import {Params, PipelineInfo} from "./types.js" */

/**
 * @typedef {object} Listener
 * @property {(effect: {pipeline: PipelineInfo, params: Params}) => void} switched
 * @property {(change: Params) => void} tuned Only what changed.
 */

export class Controls {
  /** @type {PipelineInfo[]} */
  #pipelines = [];
  /** @type {PipelineInfo | null} */
  #current = null;
  /** @type {Map<string, Params>} */
  #params = new Map();
  /** @type {Map<string, Field>} */
  #fields = new Map();
  #listener;

  /** @param {Listener} listener */
  constructor(listener) {
    this.#listener = listener;
    find("effects", HTMLFieldSetElement).addEventListener("change", (event) => {
      if (event.target instanceof HTMLInputElement) this.#switch(event.target.value);
    });
    find("defaults", HTMLButtonElement).addEventListener("click", () => this.#reset());
    find("settings", HTMLFormElement).addEventListener("submit", (event) => event.preventDefault());
  }

  /** The effect as it is set now; null before the node has said what there is. */
  get effect() {
    if (!this.#current) return null;
    return { pipeline: this.#current, params: this.#params.get(this.#current.name) ?? {} };
  }

  /**
   * @param {PipelineInfo[]} pipelines
   * @param {string | null} wanted By name; another one is taken when there is none of that name.
   */
  offer(pipelines, wanted) {
    this.#pipelines = pipelines;
    for (const pipeline of pipelines) {
      const known = this.#params.get(pipeline.name);
      this.#params.set(pipeline.name, { ...initialParams(controlsOf(pipeline)), ...known });
    }
    const choices = pipelines.map(({ name, title }) => {
      const input = element("input", { type: "radio", name: "effect", value: name });
      return element("label", {}, input, element("span", {}, title));
    });
    const picker = find("effects", HTMLFieldSetElement);
    picker.replaceChildren(...picker.querySelectorAll("legend"), ...choices);
    const first = pipelines.find(({ name }) => name === wanted) ?? pipelines[0];
    if (first) this.#show(first);
  }

  /**
   * Somebody else changed the effect, or the node corrected it.
   * @param {string} name
   * @param {Params} params
   */
  adopt(name, params) {
    const pipeline = this.#pipelines.find((each) => each.name === name);
    if (!pipeline) return;
    const before = this.#params.get(name) ?? {};
    this.#params.set(name, { ...before, ...params });
    if (pipeline !== this.#current) {
      this.#show(pipeline);
      return;
    }
    for (const [key, value] of Object.entries(params)) {
      if (JSON.stringify(value) !== JSON.stringify(before[key])) this.#fields.get(key)?.set(value);
    }
  }

  /** @param {string} name */
  #switch(name) {
    const pipeline = this.#pipelines.find((each) => each.name === name);
    if (!pipeline || pipeline === this.#current) return;
    this.#show(pipeline);
    if (this.effect) this.#listener.switched(this.effect);
  }

  #reset() {
    if (!this.#current) return;
    const params = initialParams(controlsOf(this.#current));
    this.#params.set(this.#current.name, params);
    this.#show(this.#current);
    this.#listener.tuned(params);
  }

  /** @param {PipelineInfo} pipeline */
  #show(pipeline) {
    this.#current = pipeline;
    for (const input of find("effects", HTMLFieldSetElement).querySelectorAll("input")) {
      input.checked = input.value === pipeline.name;
    }
    find("effect-description", HTMLElement).textContent = pipeline.description;
    find("settings-title", HTMLElement).textContent = `${pipeline.title} settings`;
    const params = this.#params.get(pipeline.name) ?? {};
    const controls = controlsOf(pipeline);
    const fields = controls.map((control) => {
      return field(control, params[control.name], (value) => this.#tune(control.name, value));
    });
    this.#fields = new Map(controls.map(({ name }, i) => [name, /** @type {Field} */ (fields[i])]));
    find("defaults", HTMLElement).hidden = controls.length === 0;
    find("controls", HTMLElement).replaceChildren(
      ...(fields.length > 0
        ? fields.map(({ row }) => row)
        : [element("p", { class: "hint" }, "This effect has nothing to set.")]),
    );
  }

  /**
   * @param {string} name
   * @param {unknown} value
   */
  #tune(name, value) {
    if (!this.#current) return;
    const key = this.#current.name;
    this.#params.set(key, { ...this.#params.get(key), [name]: value });
    this.#listener.tuned({ [name]: value });
  }
}
