/**
 * Types that the stage's modules share; nothing here runs.
 *
 * @typedef {"1x1" | "3x3" | "5x5" | "pool"} Branch
 * @typedef {"3a" | "3b" | "4a" | "4b" | "4c" | "4d" | "4e" | "5a" | "5b"} Block
 * @typedef {"en" | "zh"} Language
 * @typedef {"sorted" | "all"} View
 * @typedef {"worth" | "max" | "mean" | "number" | "reading" | Tuned} Sort
 * @typedef {"orientation" | "colour" | "size"} Tuned  what channels are tuned to
 * @typedef {"own" | "branch" | "block"} Scale
 * @typedef {"inferno" | "magma" | "viridis" | "cividis" | "grey"} Colours
 * @typedef {Colours | "signed"} Palette  what maps are painted in; signed: around zero
 * @typedef {"evidence" | "unit" | "cell" | "cost" | "census" | "dial" | "compare" | "numbers" | "about"} Deeper
 * @typedef {"zero" | "mean"} Fill  what replaces the output of what is off: zeros, or each channel's mean over training photos
 * @typedef {Partial<Record<Block, Branch[]>>} Off  branches that are off
 * @typedef {Partial<Record<Block, number[]>>} OffChannels  channels that are off, as numbers in their block's output
 * @typedef {Partial<Record<Block, (Branch | number)[]>>} AllOff  both, as the server takes them
 * @typedef {[number, number, number]} Crop  left, top and side, as fractions of the photo's width, height, shorter side; a side
 *   above 1 is the whole photo, padded to a square
 *
 * @typedef {object} Lens  one channel, and the cell of its map that is looked at
 * @property {Branch} branch
 * @property {number} channel  within its branch, from 0
 * @property {number} row
 * @property {number} column
 *
 * @typedef {object} State  what the address says; one object, replaced and never changed
 * @property {string} photo  "example:STEM", or the path of an uploaded file
 * @property {Crop | null} crop  null is the centre square
 * @property {string} model
 * @property {Block} block  the unfolded one
 * @property {Off} off
 * @property {OffChannels} offChannels
 * @property {Fill} fill
 * @property {number | null} cls  null is the most probable class of the unchanged run
 * @property {Lens | null} lens
 * @property {View} view
 * @property {Sort} sort
 * @property {Scale} scale
 * @property {Colours} colours
 * @property {number} top  rows of the answer, from 1 to 10
 * @property {Language} lang
 * @property {number} step  of the lesson, from 1; 0 outside it
 * @property {Deeper | null} deeper
 * @property {import("./state.js").Lab | null} lab  the stimulus that stands in for a photo
 *
 * @typedef {object} Layer
 * @property {string} name
 * @property {number} kernel
 * @property {number} in
 * @property {number} out
 * @property {number} parameters
 * @property {number} macs
 *
 * @typedef {object} Field  cell i sees the input pixels from start + i * stride to start + i * stride + size
 * @property {number} size
 * @property {number} stride
 * @property {number} start
 *
 * @typedef {object} BranchFacts
 * @property {number} channels
 * @property {Layer[]} layers
 * @property {Field} field
 *
 * @typedef {object} BlockFacts
 * @property {number} in_channels
 * @property {number} channels
 * @property {number} side
 * @property {boolean} pool_before
 * @property {number} parameters
 * @property {number} macs
 * @property {string} reader  what reads the block's output: the next block, or "classifier"
 * @property {Float32Array} reading  how strongly its weights read each channel
 * @property {Record<Branch, BranchFacts>} branches
 *
 * @typedef {object} Network
 * @property {string} name
 * @property {string[]} labels
 * @property {Record<string, string>} chinese  Chinese names by label
 * @property {number} size  side of the input in pixels
 * @property {number} temperature
 * @property {number | null} threshold  below it the best probability is doubtful
 * @property {Rejection | null} rejection
 * @property {boolean} has_means  whether what is off can be replaced by means
 * @property {number} parameters
 * @property {number} linear  parameters of the linear layers
 * @property {number} macs
 * @property {Record<string, string | number | null>} about
 * @property {Record<Block, BlockFacts>} blocks
 *
 * @typedef {object} Rejection  how well the rule of doubt does, measured on photos that were not used to choose the threshold
 * @property {number} threshold
 * @property {number} inside  photos of the network's classes
 * @property {number} outside  photos of none of them
 * @property {number} doubted  share of the inside photos that are doubted
 * @property {number} caught  share of the outside photos that are doubted
 * @property {number} auroc
 * @property {string} outside_photos
 *
 * @typedef {object} MeanMap  mean of a branch's channels; value = low + byte / 255 * (high - low)
 * @property {number} low
 * @property {number} high
 * @property {Uint8Array} values
 * @property {number} side
 *
 * @typedef {object} Scene
 * @property {string} digest
 * @property {string} model
 * @property {AllOff} off
 * @property {Fill} fill
 * @property {{width: number, height: number}} photo
 * @property {Crop} crop
 * @property {Float32Array} logits
 * @property {number} seconds
 * @property {string | null} full  the device whose memory was full, so that the processor computes in its place
 * @property {Record<Block, Record<Branch, MeanMap>>} maps
 *
 * @typedef {object} Channels  every channel of a branch, each scaled to its own low..high
 * @property {number} count
 * @property {number} side
 * @property {Float32Array} low
 * @property {Float32Array} high
 * @property {Float32Array} mean
 * @property {Uint8Array} values  count x side x side
 *
 * @typedef {Record<Branch, Channels>} BlockChannels
 *
 * @typedef {Channels & {all: number, numbers: number[]}} Strongest  the channels with the highest means; all: how many there are
 *
 * @typedef {object} Influence  how much each part of the input influences a cell
 * @property {number} share  of the influence that is inside the square
 * @property {number} left
 * @property {number} top
 * @property {number} right
 * @property {number} bottom
 * @property {number} step  input pixels of a cell of the map
 * @property {Float32Array} map  energy of the gradient, at most 1
 * @property {number} side
 *
 * @typedef {object} Subsets  logits of the sixteen subsets of a block's branches; bit i of the row: branch i is on
 * @property {Block} block
 * @property {Fill} fill
 * @property {Float32Array} logits  16 x classes
 * @property {number} classes
 *
 * @typedef {Partial<Record<Block, Float32Array>>} Worth  of each channel of the outputs of some blocks, for one class
 *
 * @typedef {{model: string, block: Block} & Record<Tuned, Float32Array>} BlockTuning  of each channel of a block's output
 *
 * @typedef {object} FieldSquare
 * @property {number} row
 * @property {number} column
 * @property {number} share
 * @property {number} left
 * @property {number} top
 * @property {number} right
 * @property {number} bottom
 *
 * @typedef {object} Subject
 * @property {string} photo
 * @property {string} model
 * @property {Crop | null} crop
 * @property {Fill} [fill]  zero if it is not there
 *
 * @typedef {object} Start
 * @property {{name: string, available: boolean, megabytes: number | null}[]} models  megabytes: to be downloaded first
 * @property {string} first  the network to show first
 * @property {string} photo  the photo to show first
 * @property {{stem: string, width: number, height: number}[]} examples
 * @property {string} device
 * @property {number} max_bytes  of a photo's file
 *
 * @typedef {object} Data  what the server said of the state
 * @property {Start | null} start
 * @property {Network | null} network
 * @property {Scene | null} base  nothing off
 * @property {Scene | null} now  with what is off; the same as `base` if nothing is
 * @property {BlockChannels | null} channels  of the unfolded block, with what is off
 * @property {BlockChannels | null} baseChannels  of the unfolded block, nothing off
 * @property {Subsets | null} subsets  of the unfolded block
 * @property {Worth | null} worth  of the class in question
 * @property {Partial<Record<Branch, FieldSquare>> | null} field  of the unfolded block
 * @property {BlockTuning | null} tuned  of the unfolded block, once the channels are to be sorted by it
 * @property {boolean} busy
 * @property {boolean} moving  pictures follow one another: their worth and votes are not asked for
 * @property {string | null} error  a sentence
 *
 * @typedef {object} Hover
 * @property {"lane" | "tile" | "cell" | "class" | "block" | null} kind
 * @property {Branch} [branch]
 * @property {Block} [block]
 * @property {number} [channel]
 * @property {number} [row]
 * @property {number} [column]
 * @property {number} [cls]
 */

export {};
