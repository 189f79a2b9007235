// Draws boxes and polygons over a picture. Corners are fractions of the picture; what is drawn goes back as `drawn`.

const SVG = "http://www.w3.org/2000/svg";
const NEAR = 10; // pixels within which a click means a corner
const LEAST = 4; // pixels below which a drag was a click
const STEP = 0.005; // of the picture, for an arrow key
const LARGE_STEP = 0.05; // with Shift
const PAUSE_MS = 350; // after the last arrow key, before it is told
const DOUBLE_MS = 450; // within which a second click is one of a double click

const drawings = new WeakMap();

export default function (component) {
  const host = component.parentElement;
  const root = host.querySelector(".drawing");
  if (!drawings.has(root)) drawings.set(root, new Drawing(root));
  drawings.get(root).show(component);
}

class Drawing {
  constructor(root) {
    this.stage = root.querySelector(".stage");
    this.image = root.querySelector("img");
    this.word = root.querySelector(".word");
    this.shapes = root.querySelector(".shapes");
    this.names = root.querySelector(".names");
    this.hint = root.querySelector(".hint");
    this.clear = root.querySelector(".clear");
    this.tools = [...root.querySelectorAll("[data-tool]")];
    this.tool = "box";
    this.draft = []; // a whole shape
    this.open = []; // corners of a polygon that is not closed yet
    this.drag = null;
    this.serial = 0;
    this.data = { regions: [] };
    for (const button of this.tools) button.addEventListener("click", () => this.choose(button.dataset.tool));
    this.clear.addEventListener("click", () => this.finish([]));
    this.stage.addEventListener("pointerdown", (event) => this.press(event));
    this.stage.addEventListener("pointermove", (event) => this.move(event));
    this.stage.addEventListener("pointerup", (event) => this.release(event));
    this.stage.addEventListener("pointercancel", () => this.abandon());
    this.stage.addEventListener("keydown", (event) => this.type(event));
    this.stage.addEventListener("dragstart", (event) => event.preventDefault());
    new ResizeObserver(() => this.draw()).observe(this.stage);
  }

  // What the page says.

  show({ data, setStateValue }) {
    const subject = this.data.subject;
    this.data = data;
    // State, not a trigger: one that meets another rerun on its way can be lost, and with it what was drawn.
    this.tell = (outline) => setStateValue("drawn", { outline, serial: this.serial });
    if (subject !== data.subject) {
      this.open = [];
      this.drag = null;
      this.serial = data.serial;
    }
    // An answer to something older than what was drawn since is out of date.
    if (!this.drag && !this.waiting && data.serial >= this.serial) {
      this.serial = data.serial;
      this.draft = data.draft ?? [];
    }
    this.stage.style.aspectRatio = `${data.width} / ${data.height}`;
    this.image.hidden = !data.picture;
    if (data.picture && this.image.src !== data.picture) this.image.src = data.picture;
    this.image.alt = data.alt;
    this.word.hidden = Boolean(data.picture);
    this.word.textContent = data.word;
    this.draw();
  }

  // What a person does.

  choose(tool) {
    this.tool = tool;
    this.open = [];
    for (const button of this.tools) button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
    this.draw();
  }

  press(event) {
    if (event.button !== 0) return;
    this.stage.focus({ preventScroll: true });
    this.stage.setPointerCapture(event.pointerId);
    const at = this.at(event);
    const corner = this.open.length ? -1 : this.cornerAt(at);
    if (corner >= 0) {
      this.drag = { kind: "corner", corner, box: isBox(this.draft), from: this.draft, at };
    } else if (!this.open.length && event.target.classList.contains("draft")) {
      this.drag = { kind: "whole", from: this.draft, at };
    } else if (this.tool === "box") {
      this.drag = { kind: "box", from: this.draft, at };
    } else {
      this.addCorner(at);
    }
  }

  move(event) {
    const at = this.at(event);
    if (this.open.length) {
      this.pointer = at;
      this.draw();
    }
    if (!this.drag) return;
    const { kind, from, at: start } = this.drag;
    if (kind === "box") {
      this.draft = this.pixels(start, at) >= LEAST ? boxOf(start, at) : from;
    } else if (kind === "whole") {
      this.draft = shifted(from, at[0] - start[0], at[1] - start[1]);
    } else if (this.drag.box) {
      this.draft = boxOf(from[(this.drag.corner + 2) % 4], at);
    } else {
      this.draft = from.map((point, number) => (number === this.drag.corner ? at : point));
    }
    this.draw();
  }

  release(event) {
    if (!this.drag) return;
    const { from } = this.drag;
    this.drag = null;
    // A click beside the shape, or a box without any width, changes nothing.
    if (this.draft !== from && hasArea(this.draft)) this.finish(this.draft);
    else this.draft = from;
    this.draw();
    if (this.stage.hasPointerCapture(event.pointerId)) this.stage.releasePointerCapture(event.pointerId);
  }

  abandon() {
    if (this.drag) this.draft = this.drag.from;
    this.drag = null;
    this.draw();
  }

  addCorner(at) {
    const last = this.open.at(-1);
    const now = performance.now();
    // Not `dblclick`: browsers withhold it where what lay under the pointer was drawn anew in between.
    const again = last && this.pixels(last, at) < NEAR && now - this.clicked < DOUBLE_MS;
    this.clicked = now;
    if (again || (this.open.length >= 3 && this.pixels(this.open[0], at) < NEAR)) return this.close();
    if (!last || this.pixels(last, at) >= LEAST) this.open = [...this.open, at];
    this.pointer = at;
    this.draw();
  }

  close() {
    if (this.open.length < 3 || !hasArea(this.open)) return;
    const outline = this.open;
    this.open = [];
    this.finish(outline);
  }

  type(event) {
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key === "Escape") {
      if (this.drag) this.abandon();
      else if (this.open.length) this.open = [];
      else if (this.draft.length) this.finish([]);
      else return;
    } else if (event.key === "Enter" && this.open.length) {
      this.close();
    } else if (event.key === "Backspace" && this.open.length) {
      this.open = this.open.slice(0, -1);
    } else if (event.key === "Delete" && this.draft.length && !this.open.length) {
      this.finish([]);
    } else if (event.key in arrows && this.draft.length && !this.open.length) {
      this.nudge(arrows[event.key], event.shiftKey ? LARGE_STEP : STEP);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation(); // Streamlit has keys of its own
    this.draw();
  }

  nudge([x, y], step) {
    this.draft = shifted(this.draft, x * step, y * step);
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.finish(this.draft), PAUSE_MS);
  }

  finish(outline) {
    clearTimeout(this.waiting);
    this.waiting = null;
    this.draft = outline.map(([x, y]) => [rounded(x), rounded(y)]);
    this.serial += 1;
    this.tell(this.draft);
    this.draw();
  }

  // Where things are.

  at(event) {
    const { left, top, width, height } = this.stage.getBoundingClientRect();
    return [within((event.clientX - left) / width), within((event.clientY - top) / height)];
  }

  pixels([ax, ay], [bx, by]) {
    return Math.hypot((ax - bx) * this.stage.clientWidth, (ay - by) * this.stage.clientHeight);
  }

  cornerAt(at) {
    const far = this.draft.map((point) => this.pixels(point, at));
    const nearest = far.indexOf(Math.min(...far));
    return nearest >= 0 && far[nearest] < NEAR ? nearest : -1;
  }

  // How it looks.

  draw() {
    const { clientWidth: width, clientHeight: height } = this.stage;
    if (!width || !height) return;
    const place = (outline) => outline.map(([x, y]) => [x * width, y * height]);
    this.shapes.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const parts = [];
    const labels = [];
    for (const { name, outline, colour } of this.data.regions) {
      if (name === this.data.naming && this.draft.length) continue;
      parts.push(polygon(place(outline), "halo"), polygon(place(outline), "line", { stroke: colour, fill: colour }));
      labels.push([name, outline, colour]);
    }
    const { ghost } = this.data;
    if (ghost) {
      parts.push(polygon(place(ghost.outline), "halo"), polygon(place(ghost.outline), "ghost"));
      labels.push([ghost.name, ghost.outline, "#fff"]);
    }
    if (this.draft.length && !this.open.length) {
      parts.push(...draftParts(place(this.draft), width, height));
      labels.push([this.data.naming, this.draft, "#e69f00"]);
    }
    if (this.open.length) parts.push(...openParts(place(this.open), place([this.pointer])[0]));
    this.shapes.replaceChildren(...parts);
    this.names.replaceChildren(...labels.map(([name, outline, colour]) => label(name, outline, colour)));
    this.hint.textContent = this.advice();
    this.clear.hidden = !this.draft.length && !this.open.length;
  }

  advice() {
    const corners = this.open.length;
    if (corners >= 3) return "Double click, Enter or a click on the first corner closes it. Backspace takes one back.";
    if (corners) return "Click the next corner. Backspace takes one back, Escape cancels.";
    if (this.draft.length) return "Drag inside to move it, a corner to reshape it. Escape clears.";
    return this.tool === "box" ? "Drag a box over the picture." : "Click the corners one after the other.";
  }
}

function draftParts(points, width, height) {
  const hole = `M0 0H${width}V${height}H0ZM${points.map((point) => point.join(" ")).join("L")}Z`;
  const shade = element("path", { class: "shade", d: hole, "fill-rule": "evenodd" });
  return [shade, polygon(points, "draft"), ...points.map(handle)];
}

function openParts(points, pointer) {
  const path = [...points, pointer].map((point) => point.join(" ")).join("L");
  const halo = element("path", { class: "halo", d: `M${path}` });
  return [halo, element("path", { class: "draft open", d: `M${path}` }), ...points.map(handle)];
}

function handle([cx, cy]) {
  return element("circle", { class: "handle", cx, cy, r: 4.5 });
}

function polygon(points, name, more = {}) {
  return element("polygon", { class: name, points: points.map((point) => point.join(",")).join(" "), ...more });
}

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function label(name, outline, colour) {
  const made = document.createElement("div");
  const [left, top] = [0, 1].map((axis) => Math.min(...outline.map((point) => point[axis])));
  const right = Math.max(...outline.map((point) => point[0]));
  made.className = "name";
  made.textContent = name;
  made.style.setProperty("--colour", colour);
  if (left > 0.8) made.style.right = `${(1 - right) * 100}%`;
  else made.style.left = `${left * 100}%`;
  // Inside the picture, also where the region touches its upper edge.
  if (top > 0.06) made.style.bottom = `${(1 - top) * 100}%`;
  else made.style.top = `${top * 100}%`;
  return made;
}

function boxOf([ax, ay], [bx, by]) {
  const [left, right] = [Math.min(ax, bx), Math.max(ax, bx)];
  const [top, bottom] = [Math.min(ay, by), Math.max(ay, by)];
  return [
    [left, top],
    [right, top],
    [right, bottom],
    [left, bottom],
  ];
}

function isBox(outline) {
  if (outline.length !== 4) return false;
  return outline.every(([x, y], number) => {
    const [nx, ny] = outline[(number + 1) % 4];
    return x === nx || y === ny;
  });
}

function hasArea(outline) {
  const sum = outline.reduce((total, [x, y], number) => {
    const [nx, ny] = outline[(number + 1) % outline.length];
    return total + x * ny - nx * y;
  }, 0);
  return outline.length >= 3 && Math.abs(sum) > 1e-6;
}

function shifted(outline, x, y) {
  const room = (axis, by) => {
    const values = outline.map((point) => point[axis]);
    return Math.min(Math.max(by, -Math.min(...values)), 1 - Math.max(...values));
  };
  const [dx, dy] = [room(0, x), room(1, y)];
  return outline.map(([px, py]) => [px + dx, py + dy]);
}

function within(value) {
  return Math.min(Math.max(value, 0), 1);
}

function rounded(value) {
  return Math.round(value * 1e4) / 1e4;
}
