/** The size of the whole network beside others, and what is counted by "22 layers" and "5 million parameters". */

import { googlenet, googlenetCounts, googlenetPath, PUBLISHED_SIDE, vgg16 } from "../cost.js";
import { h } from "../dom.js";
import { grouped, millions, times } from "../numbers.js";
import { t } from "../words.js";
import { row, table } from "./deeper_parts.js";

/** @import {Network} from "../types.js" */

/** @param {Network} network */
export function wholeNetwork(network) {
  return [...ofNetwork(network), ...depth(), ...fiveMillion()];
}

/** @param {Network} network */
function ofNetwork(network) {
  const { size } = network;
  const [vgg, published] = [vgg16(size), googlenet(PUBLISHED_SIDE)];
  const title = t("deeper.cost_vgg");
  const blocks = Object.values(network.blocks).reduce((sum, block) => sum + block.parameters, 0);
  const most = Math.max(vgg.parameters, network.parameters);
  const line = (/** @type {string} */ name, /** @type {number} */ side, /** @type {number} */ parameters, /** @type {number} */ macs, kind = "naive") =>
    row(
      [name, " ", h("small", {}, `${side}×${side}`)],
      [
        h("span", { class: `cost-track ${kind}`, "aria-hidden": "true" }, h("i", { style: { width: `${(100 * parameters) / most}%` } })),
        grouped(parameters),
      ],
      millions(macs),
    );
  const rows = [
    line(t("deeper.cost_this", { classes: grouped(network.labels.length) }), size, network.parameters, network.macs, "reduced"),
    line(t("deeper.cost_published"), PUBLISHED_SIDE, published.parameters, published.multiplications),
    line("VGG-16", size, vgg.parameters, vgg.multiplications),
  ];
  if (size !== PUBLISHED_SIDE) rows.push(line("VGG-16", PUBLISHED_SIDE, vgg.parameters, vgg16().multiplications));
  return [
    h("h3", {}, title),
    table(title, ["network", "parameters", "multiplications"].map((head) => t(`deeper.cost_head_${head}`)), rows),
    h(
      "p",
      {},
      t("deeper.cost_vgg_note", {
        size,
        multiplications: times(vgg.multiplications / network.macs),
        parameters: times(vgg.parameters / network.parameters),
        share: Math.round((100 * vgg.linear) / vgg.parameters),
        without: times((vgg.parameters - vgg.linear) / (network.parameters - network.linear)),
        published: times((vgg.parameters - vgg.linear) / (published.parameters - published.linear)),
      }),
    ),
    h(
      "p",
      {},
      t("deeper.cost_parts", {
        blocks: grouped(blocks),
        linear: grouped(network.linear),
        rest: grouped(network.parameters - blocks - network.linear),
      }),
    ),
  ];
}

function depth() {
  const { layers, withPools } = googlenetPath();
  const { convolutions: count, linears } = googlenet();
  const of = (/** @type {string} */ part) => layers.filter((layer) => layer.part === part).length;
  const words = t("deeper.cost_depth_note", {
    stem: of("stem"),
    blocks: of("block"),
    linear: of("linear"),
    depth: layers.length,
    pools: withPools,
    convolutions: count,
    linears,
  });
  return [
    h("h3", {}, t("deeper.cost_depth", { depth: layers.length })),
    h(
      "div",
      { class: "cost-depth", role: "img", "aria-label": words },
      layers.map(({ name, part }, i) => h("i", { class: part, title: `${i + 1}: ${name}` }, i + 1)),
    ),
    h("p", {}, words),
  ];
}

function fiveMillion() {
  const counts = googlenetCounts();
  const title = t("deeper.cost_millions");
  const ways = /** @type {(keyof typeof counts)[]} */ (["auxiliary", "answer", "weights", "convolutions", "convolutionWeights"]);
  return [
    h("h3", {}, title),
    h("p", { class: "deeper-lead" }, t("deeper.cost_millions_note")),
    table(
      title,
      [t("deeper.cost_head_counted"), t("deeper.cost_published")],
      ways.map((way) => row(t(`deeper.cost_count_${way}`), grouped(counts[way]))),
    ),
    h("p", {}, t("deeper.cost_millions_end", { nearest: grouped(counts.convolutionWeights), answer: grouped(counts.answer) })),
  ];
}
