// What a model.onnx says of itself. ONNX is protocol buffers: `ModelProto.metadata_props` are pairs of texts.

const METADATA_PROPS = 14, KEY = 1, VALUE = 2; // onnx.proto's field numbers
const VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5; // protocol buffers' wire types

/** Yields the fields of a message: their numbers, and the bytes of those that have a length. */
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0, scale = 1;
    for (;;) {
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
  };
  while (at < bytes.length) {
    const tag = varint(), number = Math.floor(tag / 8), kind = tag % 8;
    if (kind === VARINT) varint();
    else if (kind === FIXED64) at += 8;
    else if (kind === FIXED32) at += 4;
    else if (kind === BYTES) {
      const length = varint();
      yield [number, bytes.subarray(at, (at += length))];
    } else throw new Error("this is no ONNX file");
  }
}

/** Returns the metadata of an ONNX file: key → value, what is JSON parsed. */
export function metadata(file) {
  const text = new TextDecoder(), found = {};
  for (const [number, entry] of fields(file)) {
    if (number !== METADATA_PROPS) continue;
    const { [KEY]: key, [VALUE]: value } = Object.fromEntries([...fields(entry)].map(([n, bytes]) => [n, text.decode(bytes)]));
    try {
      found[key] = JSON.parse(value);
    } catch {
      found[key] = value;
    }
  }
  return found;
}
