const byId = (id) => document.getElementById(id);
const byTestId = (id) => document.querySelector(`[data-testid="${id}"]`);

function write(id, text) {
  byId(id).textContent = text;
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

function onSubmit(id, action) {
  byId(id).addEventListener("submit", (event) => {
    event.preventDefault();
    action();
  });
}

// ---------------------------------------------------------------- figures

const count = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

/** A number and its unit as people read them: `[1234567, "B/s"]` is `["1.23", "MB/s"]`. */
function humanize(value, unit) {
  if (!unit.startsWith("B")) return [value.toFixed(1), unit];
  const prefixes = ["", "k", "M", "G", "T"];
  let step = 0;
  while (value >= 999.5 && step < prefixes.length - 1) {
    value /= 1000;
    step += 1;
  }
  const digits = step === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return [value.toFixed(digits), prefixes[step] + unit];
}

const bytes = (value) => humanize(value, "B").join(" ");

function duration(ms) {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** Shows `text`, and keeps the bare number for whoever reads the page by script. */
function showFigure(element, value, text = count.format(value)) {
  element.textContent = text;
  element.dataset.value = value;
}

function showState(pill, state, text = state) {
  // A live region is read out again whenever it is written, even with the same words.
  if (pill.textContent === text && pill.dataset.state === state) return;
  pill.dataset.state = state;
  pill.textContent = text;
}

// ---------------------------------------------------------------- streams

/** The wait before attempt `n`, from 0; jitter keeps clients cut together from coming back together. */
function backoff(n) {
  return Math.min(500 * 2 ** n, 15_000) * (0.5 + Math.random());
}

/** What one of the library's own events means to the reader; they are the same on both transports. */
function describeNotice(name, data) {
  switch (name) {
    case "realtime.gap":
      return data.missed === null
        ? "some events missed"
        : `${count.format(data.missed)} ${data.missed === 1 ? "event" : "events"} missed`;
    case "realtime.reset":
      return `could not resume, stream restarted (${data.reason})`;
    case "realtime.bye":
      return `the server ended the stream (${data.reason})`;
  }
}

const NOTICES = ["realtime.gap", "realtime.reset", "realtime.bye"];

function showNotice(id, name, data) {
  write(id, `${clock.format(Date.now())} · ${describeNotice(name, data)}`);
}

/**
 * Gives the `event`s at `/<panel>` to `onData` while the page is visible, and tells the state and the
 * notices in that panel. `onBreak` is called where events may be missing.
 *
 * `EventSource` reconnects and resumes by itself after a cut. It gives up for good at an answer that
 * is no event stream, such as a proxy's 502 while the server restarts; hence the retry here.
 */
function openStream(panel, event, onData, onBreak) {
  const setState = (state) => showState(byId(`${panel}-state`), state);
  let source = null;
  let timer = null;
  let attempt = 0;

  function connect() {
    source = new EventSource(`/${panel}`);
    source.onopen = () => {
      attempt = 0;
      setState("live");
    };
    source.onerror = () => {
      setState("reconnecting");
      if (source.readyState !== EventSource.CLOSED) return;
      onBreak();
      timer = setTimeout(connect, backoff(attempt++));
    };
    source.addEventListener(event, ({ data }) => onData(JSON.parse(data)));
    for (const name of NOTICES) {
      source.addEventListener(name, ({ data }) => {
        showNotice(`${panel}-notice`, name, JSON.parse(data));
        onBreak();
      });
    }
  }

  function followVisibility() {
    clearTimeout(timer);
    source?.close();
    setState(document.hidden ? "paused" : "connecting");
    if (document.hidden) onBreak();
    else connect();
  }

  document.addEventListener("visibilitychange", followVisibility);
  followVisibility();
}

/** A parser of `text/event-stream` for what `EventSource` can't do: stop reading. */
class SseParser {
  #onEvent;
  #pending = "";
  #name = "";
  #data = [];
  #id;

  constructor(onEvent, lastEventId) {
    this.#onEvent = onEvent;
    this.lastEventId = this.#id = lastEventId;
  }

  push(chunk) {
    const text = this.#pending + chunk;
    // A CR at the end may be the first half of a CRLF.
    const end = text.endsWith("\r") ? text.length - 1 : text.length;
    const lines = text.slice(0, end).split(/\r\n|\r|\n/);
    this.#pending = lines.pop() + text.slice(end);
    lines.forEach((line) => this.#line(line));
  }

  #line(line) {
    if (line === "") return this.#dispatch();
    const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    if (field === "event") this.#name = value;
    else if (field === "data") this.#data.push(value);
    else if (field === "id" && !value.includes("\0")) this.#id = value;
  }

  #dispatch() {
    this.lastEventId = this.#id;
    if (this.#data.length > 0) this.#onEvent(this.#name || "message", this.#data.join("\n"));
    this.#name = "";
    this.#data = [];
  }
}

// ---------------------------------------------------------------- charts

const CHART_POINTS = 120;

class Chart {
  #canvas;
  #points = [];
  #drawing = false;

  constructor(canvas) {
    this.#canvas = canvas;
  }

  /** Adds a reading; `NaN` leaves a hole where readings are missing. `top` gives the scale. */
  push(value, top) {
    this.#points.push(value);
    if (this.#points.length > CHART_POINTS) this.#points.shift();
    this.top = top ?? 1.2 * Math.max(1000, ...this.#points.filter(Number.isFinite));
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#drawing = false;
    const canvas = this.#canvas;
    const { clientWidth: width, clientHeight: height } = canvas;
    // Sized at each drawing: the width changes with the layout, the ratio with zoom and screen.
    canvas.width = Math.round(width * devicePixelRatio);
    canvas.height = Math.round(height * devicePixelRatio);
    const context = canvas.getContext("2d");
    context.scale(devicePixelRatio, devicePixelRatio);

    const color = getComputedStyle(canvas).getPropertyValue("--line").trim();
    const fill = context.createLinearGradient(0, 0, 0, height);
    fill.addColorStop(0, `${color}55`);
    fill.addColorStop(1, `${color}06`);
    context.fillStyle = fill;
    context.strokeStyle = color;
    context.lineWidth = 1.75;
    context.lineJoin = "round";

    for (const run of this.#runs(width, height)) {
      const line = new Path2D();
      run.forEach(([x, y]) => line.lineTo(x, y));
      context.stroke(line);
      line.lineTo(run.at(-1)[0], height);
      line.lineTo(run[0][0], height);
      context.fill(line);
    }
  }

  /** The points between holes, newest at the right edge. */
  #runs(width, height) {
    const step = width / (CHART_POINTS - 1);
    const first = CHART_POINTS - this.#points.length;
    const runs = [[]];
    this.#points.forEach((value, index) => {
      if (Number.isNaN(value)) runs.push([]);
      else runs.at(-1).push([(first + index) * step, height - 2 - (value / this.top) * (height - 6)]);
    });
    return runs.filter((run) => run.length > 0);
  }
}

// ---------------------------------------------------------------- metrics

function startMetrics() {
  const cards = new Map();
  for (const card of document.querySelectorAll("[data-metric]")) {
    cards.set(card.dataset.metric, {
      number: card.querySelector(".number"),
      unit: card.querySelector(".unit"),
      scale: card.querySelector(".scale"),
      chart: new Chart(card.querySelector("canvas")),
    });
  }

  function show({ metric, value, unit }) {
    const card = cards.get(metric);
    if (!card) return;
    const [number, shownUnit] = humanize(value, unit);
    showFigure(card.number, value, number);
    card.unit.textContent = shownUnit;
    card.chart.push(value, unit === "%" ? 100 : undefined);
    card.scale.textContent = unit === "%" ? "100 %" : humanize(card.chart.top, unit).join(" ");
  }

  function breakLines() {
    for (const { chart } of cards.values()) chart.push(NaN);
  }

  openStream("metrics", "metric", show, breakLines);
}

// ---------------------------------------------------------------- chat

const CHAT_LIMIT = 500;
const CHAT_ENTRIES = 500;

/** What a close code asks of the client: come back after `delay` ms, or not at all (`null`). */
function afterClose({ code, reason }, attempt) {
  // Like the HTTP statuses 4xx: the same request would be refused again.
  if (code >= 4400 && code < 4500) return { delay: null, error: reason || `Refused (${code}).` };
  if (code === 1013) return { delay: backoff(attempt), error: "Cut by the server: too slow." };
  const restart = code === 1012 || code === 1001 ? /retry=(\d+)/.exec(reason) : null;
  return { delay: restart ? Number(restart[1]) : backoff(attempt), error: "" };
}

/** A room keeps what it has shown: coming back to it, only the rest is asked for. */
function newRoom(name) {
  return { name, lastId: null, entries: [], seen: new Set() };
}

function messageElement(id, { name, text, time }) {
  const item = element("li", "chat-message", "");
  item.dataset.id = id;
  item.style.setProperty("--hue", hueOf(name));
  item.append(
    element("span", "name", name),
    element("time", "", clock.format(time)),
    element("p", "", text),
  );
  return item;
}

/** The same colour for the same name, on every client. */
const hueOf = (name) => [...name].reduce((hue, c) => (hue * 31 + c.codePointAt(0)) % 360, 7);

function startChat() {
  const log = byId("chat-log");
  const nameField = byId("chat-name");
  const roomField = byId("chat-room-input");
  const input = byId("chat-input");
  const rooms = new Map();
  let room = null;
  let socket = null;
  let timer = null;
  let attempt = 0;
  let lastSent = "";

  const setState = (state, text) => showState(byId("chat-status"), state, text);
  const setError = (text) => write("chat-error", text);

  function join(name) {
    if (!rooms.has(name)) rooms.set(name, newRoom(name));
    room = rooms.get(name);
    log.replaceChildren(...room.entries);
    log.scrollTop = log.scrollHeight;
    for (const button of document.querySelectorAll("[data-room]")) {
      button.setAttribute("aria-pressed", button.dataset.room === name);
    }
    attempt = 0;
    setError("");
    setState("connecting");
    connect();
  }

  function connect() {
    clearTimeout(timer);
    const url = new URL(`/chat/${encodeURIComponent(room.name)}`, location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    url.hash = "";
    url.searchParams.set("name", nameField.value);
    if (room.lastId !== null) url.searchParams.set("last_event_id", room.lastId);
    // A click on "Join" right after the name has changed asks for the same twice.
    if (socket?.readyState === WebSocket.CONNECTING && socket.url === url.href) return;
    if (socket) {
      socket.onmessage = socket.onclose = null;
      socket.close();
    }
    socket = new WebSocket(url);
    socket.onmessage = (message) => receive(JSON.parse(message.data));
    socket.onclose = closed;
  }

  function receive({ event, id, data }) {
    if (id) room.lastId = id;
    if (event === "realtime.ready") {
      // Only now: a server that accepts and closes at once must not be hammered.
      attempt = 0;
      setState("live", `live in ${room.name}`);
    } else if (event === "error") {
      setError(data.message);
      // What was refused goes back for correction, unless the next is being typed.
      if (input.value === "") setInput(lastSent);
    } else if (NOTICES.includes(event)) {
      append(element("li", "chat-notice", describeNotice(event, data)));
    } else if ((event === undefined || event === "message") && !room.seen.has(id)) {
      room.seen.add(id);
      append(messageElement(id, data));
    }
  }

  function append(item) {
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    room.entries.push(item);
    log.append(item);
    if (room.entries.length > CHAT_ENTRIES) {
      const oldest = room.entries.shift();
      room.seen.delete(oldest.dataset.id);
      oldest.remove();
    }
    // Who has scrolled up to read is left there.
    if (atEnd) log.scrollTop = log.scrollHeight;
  }

  function closed(close) {
    const { delay, error } = afterClose(close, attempt);
    attempt += 1;
    if (error) setError(error);
    if (delay === null) {
      setState("closed", "not connected");
    } else {
      setState("reconnecting");
      timer = setTimeout(connect, delay);
    }
  }

  function send() {
    if (socket.readyState !== WebSocket.OPEN) {
      setError("Not connected: the message was not sent.");
      return;
    }
    setError("");
    lastSent = input.value;
    socket.send(JSON.stringify({ text: input.value }));
    setInput("");
  }

  // Only a hint: it is the server that enforces the limits, and says so.
  function showLength() {
    const length = [...input.value].length;
    const counter = byId("chat-count");
    counter.textContent = `${length} / ${CHAT_LIMIT}`;
    counter.toggleAttribute("data-over", length > CHAT_LIMIT);
  }

  function setInput(text) {
    input.value = text;
    showLength();
  }

  nameField.value = storage()?.getItem("chat-name") ?? `guest-${Math.random().toString(36).slice(2, 6)}`;
  nameField.addEventListener("change", () => {
    storage()?.setItem("chat-name", nameField.value);
    join(room.name);
  });
  input.addEventListener("input", showLength);
  byId("chat-rooms").addEventListener("click", ({ target }) => {
    if (target.dataset.room) join(target.dataset.room);
  });
  onSubmit("chat-join-form", () => join(roomField.value.trim() || room.name));
  onSubmit("chat-send-form", send);
  join("lobby");
}

/** Where names are kept; nowhere if the user has blocked storage, which makes the mere access throw. */
function storage() {
  try {
    return localStorage;
  } catch {
    return null;
  }
}

// ---------------------------------------------------------------- job

/** How much is done, in whole percent; 100 is kept for the end. */
function percentOf({ state, files, files_total, bytes, bytes_total }) {
  if (state === "done") return 100;
  const [part, whole] = bytes_total > 0 ? [bytes, bytes_total] : [files, files_total];
  return whole > 0 ? Math.min(99, Math.floor((100 * part) / whole)) : 0;
}

function startJobs() {
  const folder = byId("job-folder");
  const bar = byId("job-bar");
  let source = null;

  const setError = (text) => write("job-error", text);
  const setState = (state) => showState(byId("job-status"), state);

  async function start() {
    setError("");
    byId("job-start").disabled = true;
    try {
      const response = await fetch("/jobs", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ folder: folder.value }),
      });
      if (response.ok) location.hash = `job=${encodeURIComponent((await response.json()).job)}`;
      else setError((await response.text()) || `The server answered ${response.status}.`);
    } catch {
      setError("The server can't be reached.");
    } finally {
      byId("job-start").disabled = false;
    }
  }

  /** Watches the job that the address names, so that a reload or a sent link does the same. */
  function watch() {
    source?.close();
    const id = new URLSearchParams(location.hash.slice(1)).get("job");
    setError("");
    show({ files: 0, files_total: 0, bytes: 0, bytes_total: 0, seconds: 0 });
    setState(id ? "connecting" : "idle");
    if (!id) return;
    source = new EventSource(`/jobs/${encodeURIComponent(id)}`);
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) {
        setState("closed");
        setError("This job is not known any more.");
      } else {
        setState("reconnecting");
      }
    };
    source.addEventListener("progress", ({ data }) => {
      const progress = JSON.parse(data);
      show(progress);
      setState(progress.state);
      if (progress.state === "failed") setError(progress.message ?? "The job failed.");
      // An EventSource left open would come back for ever after the server's last word.
      if (progress.state !== "running") source.close();
    });
  }

  function show(progress) {
    const { files, files_total, bytes: done, bytes_total, seconds, current, digest } = progress;
    const percent = percentOf(progress);
    bar.setAttribute("aria-valuenow", percent);
    bar.setAttribute("aria-valuetext", `${percent} %`);
    bar.firstElementChild.style.width = `${percent}%`;
    write("job-current", current ?? "");
    write("job-files", `${count.format(files)} of ${count.format(files_total)}`);
    write("job-bytes", `${bytes(done)} of ${bytes(bytes_total)}`);
    write("job-speed", seconds > 0 ? humanize(done / seconds, "B/s").join(" ") : "–");
    write("job-seconds", duration(seconds * 1000));
    write("job-digest", digest ?? "–");
  }

  onSubmit("job-form", start);
  addEventListener("hashchange", watch);
  watch();
}

// ---------------------------------------------------------------- hub

function startStats() {
  let before = null;

  function show(stats) {
    for (const [field, value] of Object.entries(stats)) {
      const shown = byTestId(`stat-${field}`);
      if (shown) showFigure(shown, value, field === "retained_bytes" ? bytes(value) : undefined);
    }
    const now = { ...stats, at: performance.now() };
    for (const field of ["published", "delivered"]) {
      const rate = (1000 * (now[field] - before?.[field])) / (now.at - before?.at);
      // Neither at the first report nor when the server has restarted and counts from 0.
      if (rate >= 0) showFigure(byTestId(`stat-${field}-rate`), Math.round(rate));
    }
    before = now;
  }

  openStream("stats", "stats", show, () => {
    before = null;
  });
}

// ---------------------------------------------------------------- firehose

function startFirehose() {
  const button = byId("firehose");
  const freezeButton = byId("freeze");
  let run = null;
  let tick = null;
  let seen = 0;
  let skipped = 0;
  let unfrozen = Promise.resolve();
  let unfreeze = null;

  function onEvent(name, data) {
    if (NOTICES.includes(name)) showNotice("firehose-notice", name, JSON.parse(data));
    if (name !== "tick") return;
    const { n, time } = JSON.parse(data);
    // A counter that falls belongs to a server that has restarted; nothing was skipped then.
    if (tick && n > tick.n) skipped += n - tick.n - 1;
    tick = { n, time };
    seen += 1;
  }

  /** Reads to the end of the body. Not calling `read` fills the buffers up to the server. */
  async function readBody(response, parser) {
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    for (;;) {
      await unfrozen;
      const { done, value } = await reader.read();
      if (done) return;
      parser.push(decoder.decode(value, { stream: true }));
    }
  }

  async function follow(signal) {
    let parser = new SseParser(onEvent, "");
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      try {
        const id = parser.lastEventId;
        const headers = { accept: "text/event-stream", ...(id && { "last-event-id": id }) };
        const response = await fetch("/firehose", { headers, signal, cache: "no-store" });
        if (response.ok) {
          attempt = 0;
          showRunning();
          await readBody(response, parser);
        }
      } catch {
        // Cut or stopped; both are told apart by the signal.
      }
      if (signal.aborted) return;
      // A new one: the old may hold half an event.
      parser = new SseParser(onEvent, parser.lastEventId);
      showState(byId("firehose-state"), "reconnecting");
      await new Promise((resolve) => setTimeout(resolve, backoff(attempt)));
    }
  }

  function start() {
    run = new AbortController();
    tick = null;
    seen = skipped = 0;
    write("firehose-notice", "");
    button.textContent = "Stop firehose";
    showState(byId("firehose-state"), "connecting");
    follow(run.signal);
    draw(run);
  }

  function stop() {
    run.abort();
    run = null;
    button.textContent = "Start firehose";
    showState(byId("firehose-state"), "idle");
  }

  function toggleFreeze() {
    if (unfreeze) {
      unfreeze();
      unfreeze = null;
    } else {
      unfrozen = new Promise((resolve) => {
        unfreeze = resolve;
      });
    }
    freezeButton.setAttribute("aria-pressed", unfreeze !== null);
    if (run) showRunning();
  }

  function showRunning() {
    showState(byId("firehose-state"), unfreeze ? "frozen" : "live");
  }

  /** Draws at the screen's pace, not at the ticks'; the age grows while nothing is read. */
  function draw(current) {
    if (run !== current) return;
    requestAnimationFrame(() => draw(current));
    if (!tick) return;
    // The server's clock may be ahead of this one.
    const age = Math.max(0, Date.now() - tick.time);
    const ageField = byId("firehose-age");
    showFigure(byId("firehose-n"), tick.n);
    showFigure(ageField, age, duration(age));
    ageField.toggleAttribute("data-stale", age > 1000);
    showFigure(byId("firehose-seen"), seen);
    showFigure(byId("firehose-skipped"), skipped);
  }

  button.addEventListener("click", () => (run ? stop() : start()));
  freezeButton.addEventListener("click", toggleFreeze);
}

// ---------------------------------------------------------------- page

async function showAbout() {
  try {
    const { adapter, version } = await (await fetch("/about")).json();
    write("about-adapter", adapter);
    write("about-version", `· ${version}`);
  } catch {
    write("about-adapter", "unknown");
  }
}

showAbout();
startMetrics();
startChat();
startJobs();
startStats();
startFirehose();
