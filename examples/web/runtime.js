// ONNX Runtime in the page: WebGPU where there is one and its results hold, else WebAssembly.

// How far WebGPU's results may be from WebAssembly's, relative to the largest value: they add up in another order.
const TOLERANCE = 1e-3;

/**
 * Load ONNX Runtime.
 *
 * @param {(name: string, reason?: string) => void} report told what runs the models, and why WebGPU no longer does
 * @returns what stands for the package's InferenceSession and Tensor
 */
export async function loadRuntime(report) {
  const wasm = await import("./ort/ort.wasm.min.mjs");
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  const gpu = adapter && (await import("./ort/ort.webgpu.min.mjs").catch(() => null));
  const create = async (bytes, options) => {
    const reference = await wasm.InferenceSession.create(bytes, options);
    const session = new Session(reference, report);
    if (gpu) await session.tryWebGPU(gpu, bytes, options);
    else report("WebAssembly");
    return session;
  };
  return { InferenceSession: { create }, Tensor: wasm.Tensor };
}

/**
 * A session on WebGPU that is compared with one on WebAssembly.
 *
 * WebGPU drivers differ and can be lost at any time. So the first run on inputs of each shape is done on both, and
 * WebAssembly's result is the one given; where WebGPU's is another, or it fails, WebAssembly takes over for good.
 */
class Session {
  #reference;
  #report;
  #gpu = null;
  #proven = new Set();

  constructor(reference, report) {
    [this.#reference, this.#report] = [reference, report];
  }

  get inputMetadata() {
    return this.#reference.inputMetadata;
  }

  async tryWebGPU(gpu, bytes, options) {
    try {
      this.#gpu = await gpu.InferenceSession.create(bytes, { ...options, executionProviders: ["webgpu"] });
      this.#report("WebGPU");
    } catch (error) {
      this.#fallBack(`WebGPU cannot load this model: ${error.message}`);
    }
  }

  async run(feeds) {
    if (!this.#gpu) return this.#reference.run(feeds);
    const shapes = JSON.stringify(Object.values(feeds).map((tensor) => tensor.dims));
    let result;
    try {
      result = await this.#gpu.run(feeds);
    } catch (error) {
      this.#fallBack(`WebGPU failed: ${error.message}`);
      return this.#reference.run(feeds);
    }
    if (this.#proven.has(shapes)) return result;
    const reference = await this.#reference.run(feeds);
    if (agree(result, reference)) this.#proven.add(shapes);
    else this.#fallBack("WebGPU's results differ from WebAssembly's");
    return reference;
  }

  #fallBack(reason) {
    this.#gpu = null;
    this.#report("WebAssembly", reason);
  }
}

function agree(result, reference) {
  return Object.entries(reference).every(([name, { data }]) => {
    const peak = data.reduce((most, value) => Math.max(most, Math.abs(Number(value))), 0);
    // Written so that NaN does not agree.
    return data.every((value, i) => Math.abs(Number(result[name].data[i]) - Number(value)) <= TOLERANCE * peak);
  });
}
