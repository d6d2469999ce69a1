/** The whole network's size beside GoogLeNet of 2014 and VGG-16, and what "22 layers" and "5 million parameters" count. */

import { googlenet, googlenetCounts, googlenetPath, PUBLISHED_SIDE, vgg16 } from "../cost.js";
import { h } from "../dom.js";
import { grouped, millions, times } from "../numbers.js";
import { t } from "../words.js";
import { row, table } from "./deeper_parts.js";

/** @import {Network} from "../types.js" */

/** @param {Network} network */
export function networkSections(network) {
  return [...sizeSection(network), ...depthSection(), ...parametersSection()];
}

/** @param {Network} network */
function sizeSection(network) {
  const { size } = network;
  const [vgg, published] = [vgg16(size), googlenet(PUBLISHED_SIDE)];
  const title = t("deeper.cost_vgg");
  const blockParameters = Object.values(network.blocks).reduce((sum, block) => sum + block.parameters, 0);
  const maxParameters = Math.max(vgg.parameters, network.parameters);
  /** @param {string} name @param {number} side @param {number} parameters @param {number} macs */
  const networkRow = (name, side, parameters, macs, kind = "naive") =>
    row(
      [name, " ", h("small", {}, `${side}×${side}`)],
      [
        h(
          "span",
          { class: `cost-track ${kind}`, "aria-hidden": "true" },
          h("i", { style: { width: `${(100 * parameters) / maxParameters}%` } }),
        ),
        grouped(parameters),
      ],
      millions(macs),
    );
  const isPublished = network.parameters === published.parameters && network.macs === published.multiplications;
  const name = t(isPublished ? "deeper.cost_this_published" : "deeper.cost_this", { classes: grouped(network.labels.length) });
  const rows = [
    networkRow(name, size, network.parameters, network.macs, "reduced"),
    ...(isPublished ? [] : [networkRow(t("deeper.cost_published"), PUBLISHED_SIDE, published.parameters, published.multiplications)]),
    networkRow("VGG-16", size, vgg.parameters, vgg.multiplications),
  ];
  if (size !== PUBLISHED_SIDE) rows.push(networkRow("VGG-16", PUBLISHED_SIDE, vgg.parameters, vgg16().multiplications));
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
        beside: isPublished
          ? ""
          : t("deeper.cost_vgg_beside", {
              published: times((vgg.parameters - vgg.linear) / (published.parameters - published.linear)),
            }),
      }),
    ),
    h(
      "p",
      {},
      t(network.batchnorm ? "deeper.cost_parts_batchnorm" : "deeper.cost_parts", {
        blocks: grouped(blockParameters),
        linear: grouped(network.linear),
        batchnorm: grouped(network.batchnorm),
        rest: grouped(network.parameters - blockParameters - network.linear - network.batchnorm),
      }),
    ),
  ];
}

function depthSection() {
  const { layers, withPools } = googlenetPath();
  const { convolutions, linears } = googlenet();
  const countOf = (/** @type {string} */ part) => layers.filter((layer) => layer.part === part).length;
  const note = t("deeper.cost_depth_note", {
    stem: countOf("stem"),
    blocks: countOf("block"),
    linear: countOf("linear"),
    depth: layers.length,
    pools: withPools,
    convolutions,
    linears,
  });
  return [
    h("h3", {}, t("deeper.cost_depth", { depth: layers.length })),
    h(
      "div",
      { class: "cost-depth", role: "img", "aria-label": note },
      layers.map(({ name, part }, i) => h("i", { class: part, title: `${i + 1}: ${name}` }, i + 1)),
    ),
    h("p", {}, note),
  ];
}

function parametersSection() {
  const counts = googlenetCounts();
  const title = t("deeper.cost_millions");
  const methods = /** @type {(keyof typeof counts)[]} */ (["auxiliary", "answer", "weights", "convolutions", "convolutionWeights"]);
  return [
    h("h3", {}, title),
    h("p", { class: "deeper-lead" }, t("deeper.cost_millions_note")),
    table(
      title,
      [t("deeper.cost_head_counted"), t("deeper.cost_published")],
      methods.map((method) => row(t(`deeper.cost_count_${method}`), grouped(counts[method]))),
    ),
    h("p", {}, t("deeper.cost_millions_end", { nearest: grouped(counts.convolutionWeights), answer: grouped(counts.answer) })),
  ];
}
