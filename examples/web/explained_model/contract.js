// What an explained model says of itself, read from the bytes of its file: ONNX Runtime's JavaScript packages do not
// give a model's metadata.

// Field numbers of onnx.proto: ModelProto.graph, ModelProto.metadata_props, StringStringEntryProto.key and .value.
const GRAPH = 7;
const METADATA_PROPS = 14;
const KEY = 1;
const VALUE = 2;

/**
 * Read the record of an explained model, see "The explained model" in the project's README.
 *
 * @param {Uint8Array} bytes of the .onnx file
 * @returns {object} the JSON under the key `onnxplain` of its metadata: names, input, method, layers, preprocessing ...
 * @throws {Error} no ONNX model, a model that is not explained, or one that gives no heatmap of a layer
 */
export function readRecord(bytes) {
  const entries = new Map();
  let hasGraph = false;
  try {
    for (const [number, value] of fields(bytes)) {
      hasGraph ||= number === GRAPH;
      if (number !== METADATA_PROPS) continue;
      const entry = new Map(fields(value));
      entries.set(text(entry.get(KEY)), text(entry.get(VALUE)));
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    hasGraph = false;
  }
  if (!hasGraph) throw new Error("this is no ONNX model, or it is cut off; choose an explained model's .onnx file");
  return checked(entries.get("onnxplain"));
}

function checked(json) {
  let record;
  try {
    record = JSON.parse(json ?? "{}");
  } catch {
    throw new Error("the model's record of its explanation is no JSON; write the model again with `onnxplain rewrite`");
  }
  if (typeof record?.method !== "string" || !record.names?.target || !record.input || !record.score) {
    throw new Error("this model is not explained; make an explained model of it with `onnxplain rewrite`");
  }
  const outputs = Object.keys(record.names);
  if (record.input.layout == null) throw new Error("the model's input is no image, so no photo can be explained");
  if (!outputs.some((name) => name.split("@")[0] === "cam")) {
    const why = `this model explains single pixels of its input (${record.method}), or has no output cam`;
    throw new Error(`${why}; rewrite it with a method that explains a layer, such as grad-cam`);
  }
  if (!outputs.includes("score") || !outputs.some((name) => name.split("@")[0] === "heatmap")) {
    throw new Error("this model lacks the outputs score and heatmap; rewrite the original model with them");
  }
  if (record.score.expression && !record.names.logits) {
    const add = "rewrite the original with --outputs score --outputs cam --outputs heatmap --outputs logits";
    throw new Error(`this model does not give the scores that it explains (${record.score.expression}); ${add}`);
  }
  return record;
}

const text = (bytes) => new TextDecoder().decode(bytes);

/** The fields of a protobuf message, [number, content]; content is bytes, or undefined for numbers. */
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let place = 1; ; place *= 128) {
      if (at >= bytes.length || place > 2 ** 63) throw new RangeError("cut off");
      const byte = bytes[at++];
      value += (byte & 127) * place;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    const wireType = tag % 8;
    if (number === 0) throw new RangeError("no field has the number 0");
    if (wireType === 0) {
      varint();
      yield [number, undefined];
      continue;
    }
    const length = { 1: () => 8, 2: varint, 5: () => 4 }[wireType]?.();
    if (length === undefined || at + length > bytes.length) throw new RangeError("cut off, or no protobuf");
    yield [number, bytes.subarray(at, at + length)];
    at += length;
  }
}
