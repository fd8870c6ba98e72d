// Shared by the folder picker and the class boxes: photos are made smaller in the browser, and sent as one stored zip.

async function shrunk(file, side) {   // bytes of a JPEG, or null: send the file as it is; throws when it cannot be opened
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  try {
    const scale = side / Math.min(bitmap.width, bitmap.height);
    if (scale >= 1) return null;
    const canvas = new OffscreenCanvas(...[bitmap.width, bitmap.height].map((x) => Math.max(1, Math.round(x * scale))));
    const pen = canvas.getContext("2d", { alpha: false });
    pen.fillStyle = "#fff";            // transparent pixels are white, as on the server
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.imageSmoothingQuality = "high";
    pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    return new Uint8Array(await (await canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 })).arrayBuffer());
  } finally {
    bitmap.close();
  }
}

const CRC = new Uint32Array(256).map((_, n) => { for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1; return n; });

function crc32(data) {
  let crc = ~0;
  for (let i = 0; i < data.length; i++) crc = CRC[(crc ^ data[i]) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

function record(length, ...fields) {            // [offset, value, bytes], little-endian
  const view = new DataView(new ArrayBuffer(length));
  for (const [offset, value, bytes] of fields) bytes === 4 ? view.setUint32(offset, value, true) : view.setUint16(offset, value, true);
  return view.buffer;
}

const entry = (name, data) => ({ name, data, crc: crc32(data) });   // made photo by photo, so that the page never stands still

function zip(entries) {
  const parts = [], directory = [], text = new TextEncoder();
  let at = 0;
  for (const { name, data, crc } of entries) {
    const path = text.encode(name), day = 0x21, utf8 = 0x800;
    const sizes = (start) => [[start, crc, 4], [start + 4, data.length, 4], [start + 8, data.length, 4], [start + 12, path.length, 2]];
    parts.push(record(30, [0, 0x04034b50, 4], [4, 20, 2], [6, utf8, 2], [12, day, 2], ...sizes(14)), path, data);
    directory.push(record(46, [0, 0x02014b50, 4], [4, 20, 2], [6, 20, 2], [8, utf8, 2], [14, day, 2], ...sizes(16), [42, at, 4]), path);
    at += 30 + path.length + data.length;
  }
  const size = directory.reduce((sum, part) => sum + part.byteLength, 0);
  const end = record(22, [0, 0x06054b50, 4], [8, entries.length, 2], [10, entries.length, 2], [12, size, 4], [16, at, 4]);
  return new File([...parts, ...directory, end], "folder.zip", { type: "application/zip" });
}
