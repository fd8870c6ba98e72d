// The browser's half of folder_picker.py, behind zip.js. `element`, `props`, `trigger` and `upload` are given by gr.HTML.
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

async function packed({ file, name }, side) {   // {name, data, opened}, or {reason}
  try {
    let data = null, opened = true;
    try { data = await shrunk(file, side); } catch { opened = false; }
    if (data) return { ...entry(name.replace(/\.[^./]*$/, "") + ".jpg", data), opened };
    if (file.size > PICTURE_BYTES) return { reason: say.noRoom };
    return { ...entry(name, new Uint8Array(await file.arrayBuffer())), opened };
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
