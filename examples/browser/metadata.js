// The metadata of an ONNX file. ONNX is a protocol buffer: `ModelProto.metadata_props` are pairs of strings.

const METADATA_PROPS = 14, KEY = 1, VALUE = 2; // onnx.proto's field numbers
const VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5; // protocol buffers' wire types

/** Yields the number and the bytes of each field that has a length. */
function* parseFields(bytes) {
  let offset = 0;
  const readVarint = () => {
    let value = 0, scale = 1;
    for (;;) {
      const byte = bytes[offset++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
  };
  while (offset < bytes.length) {
    const tag = readVarint(), number = Math.floor(tag / 8), type = tag % 8;
    if (type === VARINT) readVarint();
    else if (type === FIXED64) offset += 8;
    else if (type === FIXED32) offset += 4;
    else if (type === BYTES) {
      const length = readVarint();
      yield [number, bytes.subarray(offset, (offset += length))];
    } else throw new Error("model.onnx is not an ONNX file");
  }
}

/** Returns the metadata of an ONNX file: key → value. JSON values are parsed, others are text. */
export function parseMetadata(file) {
  const decoder = new TextDecoder(), metadata = {};
  for (const [number, entry] of parseFields(file)) {
    if (number !== METADATA_PROPS) continue;
    const { [KEY]: key, [VALUE]: value } = Object.fromEntries([...parseFields(entry)].map(([n, bytes]) => [n, decoder.decode(bytes)]));
    try {
      metadata[key] = JSON.parse(value);
    } catch {
      metadata[key] = value;
    }
  }
  return metadata;
}
