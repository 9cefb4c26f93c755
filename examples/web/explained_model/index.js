// An explained model, run by ONNX Runtime: onnxruntime-web in browsers, onnxruntime-node in Node.

import { readRecord } from "./contract.js";
import { fromHalf } from "./numbers.js";
import { fitToInput, preprocess, toSource } from "./preprocess.js";

export { colourLayer, isSigned, NEGATIVE, overlay, POSITIVE } from "./render.js";
export { INFERNO } from "./inferno.js";

export class ExplainedModel {
  #ort;
  #session;
  #image;

  /**
   * @param {object} ort `onnxruntime-web`, `onnxruntime-node`, or what has their InferenceSession.create and Tensor
   * @param {Uint8Array} bytes of the .onnx file
   * @param {object} [options] of the session, such as {executionProviders: ["cuda"]}
   * @returns {Promise<ExplainedModel>}
   * @throws {Error} a file that is no explained model, or one that ONNX Runtime cannot run
   */
  static async open(ort, bytes, options = { logSeverityLevel: 3 }) {
    const record = readRecord(bytes);
    const session = await ort.InferenceSession.create(bytes, options).catch((error) => {
      throw new Error(`ONNX Runtime cannot load the model: ${line(error)}`);
    });
    return new ExplainedModel(ort, session, record);
  }

  constructor(ort, session, record) {
    [this.#ort, this.#session, this.record] = [ort, session, record];
    const inputs = new Map(session.inputMetadata.map((input) => [input.name, input]));
    this.#image = inputs.get(record.input.name);
    const others = [...inputs.keys()].filter((name) => ![record.input.name, record.names.target].includes(name));
    if (!this.#image || !inputs.has(record.names.target)) {
      throw new Error("the model lacks inputs that it records; write it again with `onnxplain rewrite`");
    }
    if (others.length) throw new Error(`the model has further inputs, ${others.join(", ")}; a photo alone does not do`);
    if (this.#image.shape.length !== 4) throw new Error("the model's input is no image, so no photo can be explained");
    const { type, shape } = this.#image;
    /** How an image becomes the model's input; assumed where the file does not record it. */
    this.preprocessing = fitToInput(record.preprocessing, record.input.layout, type, shape);
    this.preprocessingIsAssumed = !record.preprocessing;
    /** The layers explained. */
    this.layers = record.layers;
    /** How many images and classes a run takes, where the model fixes it; else undefined. */
    this.fixedBatch = fixed(shape[0]);
    this.fixedTargets = fixed(inputs.get(record.names.target).shape[1]);
  }

  /** An image {data: RGB bytes, height, width} as the model's input. */
  prepare(image) {
    const { data, dims } = preprocess(this.preprocessing, image);
    const rows = this.fixedBatch ?? 1;
    const batch = new data.constructor(rows * data.length);
    for (let row = 0; row < rows; row++) batch.set(data, row * data.length);
    return new this.#ort.Tensor(this.#image.type, batch, [rows, ...dims]);
  }

  /**
   * All classes, the most probable first.
   *
   * @returns {Promise<{index: number, label: string, probability: number}[]>} the softmax share, or the sigmoid where
   *   the model ends in one or has a single class
   */
  async classify(input) {
    const { names, score } = this.record;
    const output = (await this.#run(input, [0]))[names.logits ?? score.output];
    const values = reals(output).slice(0, output.data.length / output.dims[0]);
    const labels = this.record.labels;
    if (labels && labels.length !== values.length && !score.expression) {
      throw new Error(`the model records ${labels.length} labels for ${values.length} classes; write it again`);
    }
    const named = labels?.length === values.length ? labels : [];
    const classes = probabilities(values, score.squashed_by, !names.logits || names.logits === score.output).map(
      (probability, index) => ({ index, label: named[index] ?? `class ${index}`, probability }),
    );
    return classes.sort((a, b) => b.probability - a.probability || values[b.index] - values[a.index]);
  }

  /**
   * The heatmaps of classes, at the model's input size.
   *
   * @param {object} input of `prepare`
   * @param {number[]} classes indices; run together where the model's number of targets is open
   * @param {string} [layer] one of `layers`; default: the first
   * @returns {Promise<{target: number, score: number, heatmap: {data: Float32Array, height: number, width: number}}[]>}
   */
  async explain(input, classes, layer = this.layers[0]) {
    const { names } = this.record;
    const width = this.fixedTargets ?? classes.length;
    const explanations = [];
    for (let first = 0; first < classes.length; first += width) {
      const part = classes.slice(first, first + width);
      const outputs = await this.#run(input, part);
      const maps = outputs[this.layers.length > 1 ? names[`heatmap@${layer}`] : names.heatmap];
      const [height, columns] = maps.dims.slice(2);
      part.forEach((target, i) => {
        const data = maps.data.slice(i * height * columns, (i + 1) * height * columns);
        if (!data.every(Number.isFinite)) throw new Error(`the map of class ${target} is not finite; the model overflows`);
        explanations.push({ target, score: outputs[names.score].data[i], heatmap: { data, height, width: columns } });
      });
    }
    return explanations;
  }

  /** A heatmap brought to the size of the image that it explains. */
  toSource(heatmap, image) {
    return toSource(this.preprocessing, heatmap, image.height, image.width);
  }

  async #run(input, classes) {
    const rows = input.dims[0];
    const width = this.fixedTargets ?? classes.length;
    const targets = BigInt64Array.from({ length: rows * width }, (_, i) => BigInt(classes[i % width] ?? classes[0]));
    const target = new this.#ort.Tensor("int64", targets, [rows, width]);
    const feeds = { [this.record.input.name]: input, [this.record.names.target]: target };
    return this.#session.run(feeds).catch((error) => {
      throw new Error(`ONNX Runtime cannot run the model: ${line(error)}`);
    });
  }
}

const line = (error) => String(error?.message ?? error).replace(/\s+/g, " ").slice(0, 400);

const fixed = (size) => (typeof size === "number" && size > 0 ? size : undefined);

const reals = (tensor) => Float64Array.from(tensor.data, tensor.data instanceof Uint16Array ? fromHalf : Number);

/** Shares of class scores; `isOutput` tells that they are the model's own output, behind what squashes them there. */
function probabilities(values, squashedBy, isOutput) {
  const list = Array.from(values);
  if (squashedBy && isOutput) return squashedBy === "LogSoftmax" ? list.map(Math.exp) : list;
  if (squashedBy === "Sigmoid" || list.length === 1) return list.map((value) => 1 / (1 + Math.exp(-value)));
  const peak = list.reduce((a, b) => Math.max(a, b));
  const shares = list.map((value) => Math.exp(value - peak));
  const sum = shares.reduce((a, b) => a + b);
  return shares.map((share) => share / sum);
}
