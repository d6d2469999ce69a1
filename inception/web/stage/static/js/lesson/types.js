/**
 * Types of the lesson; no runtime code.
 *
 * @import {Branch, Data, State, Subject} from "../types.js"
 * @import {Source} from "../source.js"
 *
 * @typedef {string | number | {cls: number} | {branch: Branch} | {p: number} | {signed: number} | {short: number} | {times: number} | {word: string}} Value
 *   value of a placeholder, formatted in the page's language when it is drawn
 *
 * @typedef {object} Sentence  a sentence to be translated
 * @property {string} key  of the catalogue
 * @property {Record<string, Value>} [values]
 *
 * @typedef {object} Choice
 * @property {string} id
 * @property {Sentence} says
 * @property {Branch} [branch]  whose colour the button has
 * @property {number} [size]  in channels, of an item to be ordered
 *
 * @typedef {object} Plan  a step applied to the current photo and network
 * @property {Partial<State>} patch  of the state, while the question is open
 * @property {Sentence[]} ask  the question
 * @property {Choice[]} choices
 * @property {boolean} weak  whether the photo does not show the step's subject clearly, so that an example is offered
 * @property {any} facts  data for `read`, `check` and `show`
 *
 * @typedef {object} Verdict
 * @property {boolean} done  false: the student may try again
 * @property {boolean} right
 * @property {string} [answer]  the right choice, which is marked
 * @property {Sentence[]} says
 * @property {Partial<State>} [patch]  of the state, with the verdict
 *
 * @typedef {object} StepContext  what a step may read
 * @property {Readonly<State>} state
 * @property {Readonly<Data>} data
 * @property {Pick<Source, "table" | "votes" | "worth" | "evidence" | "block" | "tuning" | "scene">} source
 * @property {Subject} subject
 *
 * @typedef {object} Step
 * @property {string} id
 * @property {string} title  key of the catalogue
 * @property {"choice" | "order" | "act"} kind  the answer is one button, an order of all buttons, or an action on the stage
 * @property {string} [confirm]  key of the button that submits an action on the stage; without it, actions are
 *   submitted at once
 * @property {boolean} hidesWorth  whether the worth of branches and channels is hidden, as it would give the answer away
 * @property {boolean} [keepsCrop]  whether a moved square is part of the answer and does not start the step again
 * @property {(context: StepContext) => Promise<Plan>} enter
 * @property {(plan: Plan, state: Readonly<State>, data: Readonly<Data>, previous: string | null) => string | null} [read]
 *   read the answer off the stage; `previous` is the last one
 * @property {(plan: Plan, answer: string, context: StepContext) => Promise<Verdict>} check
 * @property {(plan: Plan, context: StepContext) => Promise<Verdict>} [show]  show the answer when the student gives up
 */

export {};
