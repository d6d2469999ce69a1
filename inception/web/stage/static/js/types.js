/**
 * Types shared by the stage's modules; no runtime code.
 *
 * @typedef {"1x1" | "3x3" | "5x5" | "pool"} Branch
 * @typedef {"3a" | "3b" | "4a" | "4b" | "4c" | "4d" | "4e" | "5a" | "5b"} Block
 * @typedef {"en" | "zh"} Language
 * @typedef {"sorted" | "all"} View
 * @typedef {"worth" | "max" | "mean" | "number" | "reading" | Tuned} Sort
 * @typedef {"orientation" | "colour" | "size"} Tuned  a property that channels are tuned to
 * @typedef {"own" | "branch" | "block"} Scale
 * @typedef {"inferno" | "magma" | "viridis" | "cividis" | "grey"} Colours
 * @typedef {Colours | "signed"} Palette  colour map of feature maps; signed: diverging around zero
 * @typedef {"evidence" | "unit" | "cell" | "cost" | "census" | "dial" | "compare" | "numbers" | "about"} Deeper
 * @typedef {"zero" | "mean"} Fill  value of the channels that are off: zero, or each channel's mean over training photos
 * @typedef {Partial<Record<Block, Branch[]>>} Off  branches that are off
 * @typedef {Partial<Record<Block, number[]>>} OffChannels  channels that are off, as indices in their block's output
 * @typedef {Partial<Record<Block, (Branch | number)[]>>} AllOff  both combined, as sent to the server
 * @typedef {[number, number, number]} Crop  left, top and side, as fractions of the photo's width, height and shorter side; a
 *   side above 1 is the whole photo, padded to a square
 *
 * @typedef {[number, number, number]} RGB  red, green and blue, from 0 to 255
 *
 * @typedef {object} Lens  the inspected channel, and the selected cell of its feature map
 * @property {Branch} branch
 * @property {number} channel  index within its branch
 * @property {number} row
 * @property {number} column
 *
 * @typedef {object} State  state of the page, encoded in its address; immutable, replaced on each change
 * @property {string} photo  "example:STEM", or the path of an uploaded file
 * @property {Crop | null} crop  null: the centre square
 * @property {string} model
 * @property {Block} block  the unfolded one
 * @property {Off} off
 * @property {OffChannels} offChannels
 * @property {Fill} fill
 * @property {number | null} cls  selected class; null: the most probable class with everything on
 * @property {Lens | null} lens
 * @property {View} view
 * @property {Sort} sort
 * @property {Scale} scale
 * @property {Colours} colours
 * @property {number} top  number of classes in the answer, from 1 to 10
 * @property {Language} lang
 * @property {number} step  of the lesson, from 1; 0 outside the lesson
 * @property {Deeper | null} deeper
 * @property {import("./state.js").Lab | null} lab  stimulus of the laboratory, in place of a photo
 *
 * @typedef {object} Layer
 * @property {string} name
 * @property {number} kernel
 * @property {number} in
 * @property {number} out
 * @property {number} parameters
 * @property {number} macs
 *
 * @typedef {object} Field  receptive field: cell i sees input pixels from start + i * stride to start + i * stride + size
 * @property {number} size
 * @property {number} stride
 * @property {number} start
 *
 * @typedef {object} MiddleCell  the cell whose receptive field is centred nearest to the middle of the input, and that centre
 * @property {number} row
 * @property {number} column
 * @property {number} x  in pixels of the input
 * @property {number} y
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
 * @property {MiddleCell} middle
 * @property {boolean} pool_before
 * @property {number} parameters
 * @property {number} macs
 * @property {string} reader  the layer that reads the block's output: the next block, or "classifier"
 * @property {Float32Array} reading  readout: how strongly the reader's weights read each channel
 * @property {Record<Branch, BranchFacts>} branches
 *
 * @typedef {object} Network
 * @property {string} name
 * @property {string[]} labels
 * @property {Record<string, string>} chinese  Chinese names by label
 * @property {number} size  side of the input in pixels
 * @property {RGB} margin  colour around a whole photo
 * @property {number} temperature
 * @property {number | null} threshold  of the rejection rule: below this probability the answer is "not sure"
 * @property {Rejection | null} rejection
 * @property {boolean} has_means  whether the network supports the fill "mean"
 * @property {number} parameters
 * @property {number} linear  parameters of the linear layers
 * @property {number} batchnorm  parameters of BatchNorm
 * @property {number} macs
 * @property {Record<string, string | number | null>} about
 * @property {Record<Block, BlockFacts>} blocks
 *
 * @typedef {object} Rejection  measured performance of the rejection rule, on photos that were not used to choose the threshold
 * @property {number} threshold
 * @property {number} inside  number of photos of the network's classes
 * @property {number} outside  number of photos of none of these classes
 * @property {number} doubted  share of the inside photos that are rejected
 * @property {number} caught  share of the outside photos that are rejected
 * @property {number} auroc
 * @property {string} outside_photos
 *
 * @typedef {object} MeanMap  mean over a branch's channels; value = low + byte / 255 * (high - low)
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
 * @property {string | null} full  the device that ran out of memory, so that the CPU is used instead
 * @property {Record<Block, Record<Branch, MeanMap>>} maps
 *
 * @typedef {object} Channels  feature maps of a branch's channels, each quantised over its own range, low to high
 * @property {number} count
 * @property {number} side
 * @property {Float32Array} low
 * @property {Float32Array} high
 * @property {Float32Array} mean
 * @property {Uint8Array} values  count x side x side
 *
 * @typedef {Record<Branch, Channels>} BlockChannels
 *
 * @typedef {Channels & {all: number, numbers: number[]}} Strongest  the channels with the highest means; all: total
 *   number of channels, numbers: indices of the listed ones
 *
 * @typedef {object} Influence  effective receptive field of a cell
 * @property {number} share  of the influence inside the square
 * @property {number} left
 * @property {number} top
 * @property {number} right
 * @property {number} bottom
 * @property {number} step  input pixels per cell of the map
 * @property {Float32Array} map  energy of the gradient, scaled to a maximum of 1
 * @property {number} side
 *
 * @typedef {object} Subsets  logits of the sixteen subsets of a block's branches; bit i of the row number: branch i is on
 * @property {Block} block
 * @property {Fill} fill
 * @property {Float32Array} logits  16 x classes
 * @property {number} classes
 *
 * @typedef {Partial<Record<Block, Float32Array>>} Worth  worth of each output channel of some blocks, for one class
 *
 * @typedef {{model: string, block: Block} & Record<Tuned, Float32Array>} BlockTuning  tuning of each output channel of a block
 *
 * @typedef {object} FieldSquare  the square that holds a share of a cell's effective receptive field
 * @property {number} row
 * @property {number} column
 * @property {number} share
 * @property {number} left
 * @property {number} top
 * @property {number} right
 * @property {number} bottom
 *
 * @typedef {object} Subject  the photo and network that a request is about
 * @property {string} photo
 * @property {string} model
 * @property {Crop | null} crop
 * @property {Fill} [fill]  "zero" by default
 *
 * @typedef {object} Start
 * @property {{name: string, available: boolean, megabytes: number | null}[]} models  megabytes: size of the download before first use
 * @property {string} first  name of the initial network
 * @property {string} photo  the initial photo
 * @property {{stem: string, width: number, height: number}[]} examples
 * @property {string} device
 * @property {number} max_bytes  upload limit
 *
 * @typedef {object} Data  the server's responses for the state
 * @property {Start | null} start
 * @property {Network | null} network
 * @property {Scene | null} base  with everything on
 * @property {Scene | null} now  with the branches and channels that are off; `base` if none are
 * @property {BlockChannels | null} channels  of the unfolded block, with the branches and channels that are off
 * @property {BlockChannels | null} baseChannels  of the unfolded block, with everything on
 * @property {Subsets | null} subsets  of the unfolded block
 * @property {Worth | null} worth  for the class `worthClass`
 * @property {number | null} worthClass  the selected class, or the one before while its worth is loaded
 * @property {Partial<Record<Branch, FieldSquare>> | null} field  of the unfolded block
 * @property {BlockTuning | null} tuned  of the unfolded block; loaded only to sort by it
 * @property {boolean} busy
 * @property {boolean} moving  a stream of stimuli is shown: worth and votes are not requested
 * @property {string | null} error  sentence for the visitor
 *
 * @typedef {object} Hover  the element under the pointer
 * @property {"lane" | "tile" | "cell" | "class" | "block" | null} kind
 * @property {Branch} [branch]
 * @property {Block} [block]
 * @property {number} [channel]
 * @property {number} [row]
 * @property {number} [column]
 * @property {number} [cls]
 */

export {};
