// The browser's half of folder_picker.py. `element`, `props`, `trigger` and `upload` are given by gr.HTML.
// A folder becomes one zip, stored, with the names of its sub-folders; large photos are made smaller on the way.

const SMALLEST = 256;          // px: under this a photo loses what a network looks at
const PICTURE_BYTES = 20 * 2 ** 20;
const PICTURE = /\.(jpe?g|jpe|jfif|png|webp|gif|bmp|hei[cf]|avif|tiff?)$/i;
const HIDDEN = /(^|\/)(\.|__MACOSX\/|thumbs\.db$)/i;
const say = props.texts;
const find = (name) => element.querySelector(name);
const number = (value) => value.toLocaleString("en");
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
const fill = (text, ...values) => values.reduce((filled, value) => filled.replace("{}", value), text);
const pause = () => new Promise((go) => setTimeout(go));

class Refused extends Error {} // its message is for the person

function news(text, done = 0, total = 0) {
  find(".news").textContent = text;
  const bar = find("progress");
  bar.hidden = !total;
  bar.max = total || 1;
  bar.value = done;
}

// ---- what is in the folder

async function walk(entry, above, found) {
  if (entry.isFile) {
    found.push({ file: await new Promise((yes, no) => entry.file(yes, no)), name: above + entry.name });
    if (found.length % 200 === 0) news(fill(say.looking, number(found.length)));
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((yes, no) => reader.readEntries(yes, no));
    if (!some.length) return;
    for (const inner of some) await walk(inner, `${above}${entry.name}/`, found);
  }
}

class Manifest {               // what was left out, and why: the first 200 by name
  constructor() { this.names = []; this.counts = {}; }
  add(name, reason) {
    this.counts[reason] = (this.counts[reason] || 0) + 1;
    if (this.names.length < 200) this.names.push([name.slice(-200), reason]);
  }
  get total() { return Object.values(this.counts).reduce((sum, count) => sum + count, 0); }
}

function choose(found, left) {
  const pictures = found.filter(({ name }) => {
    if (HIDDEN.test(name)) left.add(name, say.hidden);
    else if (!PICTURE.test(name)) left.add(name, say.noPicture);
    else return true;
    return false;
  });
  const order = new Intl.Collator("en", { numeric: true });
  pictures.sort((a, b) => order.compare(a.name, b.name));
  const most = props.max_photos;
  if (pictures.length <= most) return pictures;
  const kept = new Set(Array.from({ length: most }, (_, i) => Math.floor((i * pictures.length) / most)));
  return pictures.filter(({ name }, i) => kept.has(i) || left.add(name, fill(say.tooMany, number(most))));
}

// ---- making photos smaller

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

async function packed({ file, name }, side) {   // {name, data, opened}, or {reason}
  try {
    let data = null, opened = true;
    try { data = await shrunk(file, side); } catch { opened = false; }
    if (data) return { name: name.replace(/\.[^./]*$/, "") + ".jpg", data, opened };
    if (file.size > PICTURE_BYTES) return { reason: say.noRoom };
    return { name, data: new Uint8Array(await file.arrayBuffer()), opened };
  } catch {
    return { reason: say.unreadable };          // it has gone, or may not be read
  }
}

async function fittingSide(pictures) {          // by a sample: how small photos must be so that all of them fit
  const sample = pictures.filter((_, i) => i % Math.ceil(pictures.length / 16) === 0);
  const sizes = await Promise.all(sample.map((picture) => packed(picture, props.max_side)));
  const bytes = sizes.reduce((sum, one) => sum + (one.opened ? one.data.length : 0), 0) / sample.length;
  const room = (0.85 * props.max_bytes) / pictures.length;
  return bytes <= room ? props.max_side : Math.max(SMALLEST, Math.floor(props.max_side * Math.sqrt(room / bytes)));
}

async function pack(pictures, side, left) {     // all of them in their order, or null when they do not fit
  const items = new Array(pictures.length);
  let next = 0, done = 0, bytes = 0, closed = 0, shown = 0;
  const work = async () => {
    while (next < pictures.length && bytes <= props.max_bytes) {
      const place = next++, item = await packed(pictures[place], side);
      if (item.opened === false && (closed += item.data.length) > props.max_bytes / 4) item.reason = say.noRoom;
      if (item.reason) left.add(pictures[place].name, item.reason);
      else bytes += (items[place] = item).data.length + 2 * item.name.length + 100;
      if (++done, performance.now() - shown > 100) {
        shown = performance.now();
        news(fill(say.preparing, number(done), number(pictures.length)), done, pictures.length);
        await pause();
      }
    }
  };
  await Promise.all(Array.from({ length: 4 }, work));
  return bytes > props.max_bytes ? null : items.filter(Boolean);
}

// ---- one zip, entries stored

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

function zip(items) {
  const parts = [], directory = [], text = new TextEncoder();
  let at = 0;
  for (const { name, data } of items) {
    const path = text.encode(name), crc = crc32(data), day = 0x21, utf8 = 0x800;
    const sizes = (start) => [[start, crc, 4], [start + 4, data.length, 4], [start + 8, data.length, 4], [start + 12, path.length, 2]];
    parts.push(record(30, [0, 0x04034b50, 4], [4, 20, 2], [6, utf8, 2], [12, day, 2], ...sizes(14)), path, data);
    directory.push(record(46, [0, 0x02014b50, 4], [4, 20, 2], [6, 20, 2], [8, utf8, 2], [14, day, 2], ...sizes(16), [42, at, 4]), path);
    at += 30 + path.length + data.length;
  }
  const size = directory.reduce((sum, part) => sum + part.byteLength, 0);
  const end = record(22, [0, 0x06054b50, 4], [8, items.length, 2], [10, items.length, 2], [12, size, 4], [16, at, 4]);
  return new File([...parts, ...directory, end], "folder.zip", { type: "application/zip" });
}

// ---- sending

async function send(file, sent, left) {
  news(sent ? fill(say.sending, number(sent), megabytes(file.size)) : fill(say.sendingZip, megabytes(file.size)));
  let path;
  try { ({ path } = await upload(file)); } catch { throw new Refused(say.notSent); }
  props.value = JSON.stringify({ path, name: file.name, sent, left_out: left.names, counts: left.counts });
  news(sent ? fill(left.total ? say.sentWithout : say.sent, number(sent), number(left.total)) : say.sentZip);
  trigger("upload");
}

async function takeZip(file) {
  if (file.size > props.max_zip_bytes) throw new Refused(fill(say.largeZip, megabytes(file.size), megabytes(props.max_zip_bytes)));
  await send(file, 0, new Manifest());
}

async function takeFolder(found) {
  const left = new Manifest(), pictures = choose(found, left);
  if (!pictures.length) throw new Refused(say.nothing);
  news(fill(say.preparing, 0, number(pictures.length)), 0, pictures.length);
  for (let side = await fittingSide(pictures), tries = 0; tries < 4; tries++, side = Math.max(SMALLEST, Math.floor(0.75 * side))) {
    const tried = Object.assign(new Manifest(), structuredClone({ names: left.names, counts: left.counts }));
    const items = await pack(pictures, side, tried);
    if (items) return send(zip(items), items.length, tried);
  }
  throw new Refused(fill(say.tooLarge, megabytes(props.max_bytes)));
}

async function take(found) {
  const zips = found.filter(({ name }) => /^[^/]*\.zip$/i.test(name));
  return found.length === 1 && zips.length ? takeZip(zips[0].file) : takeFolder(found);
}

async function busily(work) {
  const box = find(".picker"), buttons = element.querySelectorAll("button");
  if (box.getAttribute("aria-busy") === "true") return;
  box.setAttribute("aria-busy", "true");
  buttons.forEach((button) => (button.disabled = true));
  try { await work(); } catch (error) {
    if (!(error instanceof Refused)) console.warn(error);
    news(error instanceof Refused ? error.message : say.failed);
  }
  box.setAttribute("aria-busy", "false");
  buttons.forEach((button) => (button.disabled = false));
}

// ---- three ways in

// Listeners sit on `element`, because what is in it is rendered anew when the value changes.
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const input = find(button.matches(".folder") ? "input.folder" : "input.zip");
  input.value = "";            // so that the same folder can be chosen again
  input.click();
});
element.addEventListener("change", (event) => {
  const found = [...event.target.files].map((file) => ({ file, name: file.webkitRelativePath || file.name }));
  if (found.length) busily(() => take(found));
});
if (!("webkitdirectory" in HTMLInputElement.prototype)) find("button.folder").hidden = true;   // some phones

const over = (on) => (event) => { event.preventDefault(); find(".picker").classList.toggle("over", on); };
element.addEventListener("dragover", over(true));
element.addEventListener("dragleave", over(false));
element.addEventListener("drop", (event) => {
  over(false)(event);
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  busily(async () => {
    const found = [];
    news(fill(say.looking, 0));
    for (const entry of entries) await walk(entry, "", found);
    await take(found);
  });
});
element.dataset.ready = "yes";
