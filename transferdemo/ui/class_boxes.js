// The browser's half of class_boxes.py, behind zip.js. `element`, `props`, `trigger` and `upload` are given by gr.HTML.
// Photos stay in this page until they are sent together, as a project zip whose bursts are marked.

const say = props.texts, boxes = element.querySelector(".boxes"), news = element.querySelector(".news");
const send = element.querySelector(".send"), video = document.createElement("video");
video.muted = true; video.playsInline = true;
let stream = null, bursts = 0;

async function camera() {
  if (!stream?.active) {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 } });
    video.srcObject = stream;
    await video.play();
  }
}

async function frame() {        // a JPEG of what the camera sees, 480 px on its short side at most
  const scale = Math.min(1, 480 / Math.min(video.videoWidth, video.videoHeight));
  const canvas = new OffscreenCanvas(Math.round(video.videoWidth * scale), Math.round(video.videoHeight * scale));
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Uint8Array(await (await canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 })).arrayBuffer());
}

function add(box, data, burst, type = "image/jpeg") {
  if (total() >= props.max_photos) return;
  box.photos.push({ data, burst });
  box.querySelector(".count").textContent = `${box.photos.length} ${box.photos.length === 1 ? say.photo : say.photos}`;
  if (box.photos.length <= 8 || box.photos.length % 5 === 0) {
    const picture = document.createElement("img");
    picture.alt = "";
    picture.src = URL.createObjectURL(new Blob([data], { type }));
    picture.onload = () => URL.revokeObjectURL(picture.src);
    const row = box.querySelector(".strip");
    row.prepend(picture);
    while (row.children.length > 6) row.lastChild.remove();
  }
  send.disabled = [...boxes.children].filter((b) => b.photos.length).length < 2;
}

const total = () => [...boxes.children].reduce((sum, box) => sum + box.photos.length, 0);

async function burst(box, held) {   // ten frames a second while the button is held
  try { await camera(); } catch { news.textContent = say.noCamera; return; }
  box.querySelector(".view").replaceChildren(video);
  if (video.paused) await video.play();
  const name = `burst ${++bursts}`;
  while (held() && box.isConnected) {
    if (video.videoWidth) add(box, await frame(), name);
    await new Promise((go) => setTimeout(go, 100));
  }
}

function wire(box) {
  let down = false;
  const button = box.querySelector(".record"), input = box.querySelector("input[type=file]");
  const press = (event) => { event.preventDefault(); if (!down) { down = true; button.classList.add("on"); burst(box, () => down); } };
  const release = () => { down = false; button.classList.remove("on"); };
  button.addEventListener("pointerdown", press);
  for (const end of ["pointerup", "pointerleave", "pointercancel", "blur"]) button.addEventListener(end, release);
  button.addEventListener("keydown", (event) => { if (event.key === " " || event.key === "Enter") press(event); });
  button.addEventListener("keyup", release);
  box.querySelector(".add").addEventListener("click", () => { input.value = ""; input.click(); });
  input.addEventListener("change", async () => {
    for (const file of input.files) {
      let data = null;
      try { data = await shrunk(file, 640); } catch { /* the server says what is wrong with it */ }
      if (data || file.size <= 20 * 2 ** 20) add(box, data || new Uint8Array(await file.arrayBuffer()), "", data ? "image/jpeg" : file.type);
      else news.textContent = say.large;
    }
  });
}

function box() {
  const made = element.querySelector("template").content.firstElementChild.cloneNode(true);
  made.photos = [];
  made.querySelector(".name").value = `${say.class} ${boxes.children.length + 1}`;
  boxes.append(made);
  wire(made);
  return made;
}

function project() {            // the form that the program's own projects have, so that the ordinary zip door reads it
  const used = [...boxes.children].filter((b) => b.photos.length), photos = {}, items = [];
  const classes = used.map((b, i) => ({ folder: `class ${i + 1}`, name: b.querySelector(".name").value.trim() || `${say.class} ${i + 1}`, left_out: false }));
  used.forEach((b, i) => b.photos.forEach(({ data, burst }, n) => {
    const name = `class ${i + 1}/${String(n + 1).padStart(4, "0")}.jpg`;
    items.push(entry(name, data));
    photos[name] = { name: `${classes[i].name}/${n + 1}`, split: "", burst: burst && `class ${i + 1} ${burst}`, mark: "" };
  }));
  const facts = { format: "transferdemo-project", version: 1, classes, photos, settings: {}, runs: [] };
  return zip([...items, entry("project.json", new TextEncoder().encode(JSON.stringify(facts)))]);
}

element.querySelector(".more").addEventListener("click", () => { if (boxes.children.length < props.max_classes) box().querySelector(".name").focus(); });
send.addEventListener("click", async () => {
  send.disabled = true;
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  news.textContent = say.sending;
  try {
    const { path } = await upload(project());
    props.value = JSON.stringify({ path, sent: total(), left_out: [], counts: {} });
    news.textContent = "";
    trigger("upload");
  } catch (error) { console.warn(error); news.textContent = say.notSent; }
  send.disabled = false;
});
box(); box();
