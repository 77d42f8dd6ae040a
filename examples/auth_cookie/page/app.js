const byId = (id) => document.getElementById(id);

function show(id, text) {
  byId(id).textContent = text;
}

function setState(panel, state) {
  byId(`${panel}-state`).dataset.state = state;
  show(`${panel}-state`, state);
}

/** Adds a line, as text: what others wrote must never become markup. */
function append(log, text) {
  const item = document.createElement("li");
  item.textContent = text;
  byId(log).append(item);
  item.scrollIntoView({ block: "nearest" });
}

// ---------------------------------------------------------------- the session

let source = null;
let socket = null;
let retry = null;

/** Whose session it is. The cookie is not for scripts to see, so the server has to say. */
async function whoIsIt() {
  const { user } = await (await fetch("/session")).json();
  return user;
}

function enter(user) {
  show("me", user);
  show("ended", "");
  show("events", "");
  show("chat", "");
  show("chat-error", "");
  byId("login").hidden = true;
  byId("inside").hidden = false;
  openEvents();
  openChat(null);
}

/** Ends what is open, tells why, and does not come back by itself. */
function leave(reason) {
  clearTimeout(retry);
  source?.close();
  socket?.close();
  source = socket = null;
  show("ended", reason);
  byId("inside").hidden = true;
  byId("login").hidden = false;
}

/** Leaves if the session has ended. A page is not told the status with which it is refused. */
async function leaveIfEnded(reason) {
  const user = await whoIsIt().catch(() => "not known now");
  if (user === null) leave(reason);
  return user === null;
}

byId("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await fetch("/session", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ user: byId("user").value, password: byId("password").value }),
  });
  show("login-error", answer.ok ? "" : await answer.text());
  byId("password").value = "";
  if (answer.ok) enter(await whoIsIt());
});

byId("log-out").addEventListener("click", () => fetch("/session", { method: "DELETE" }));

// ---------------------------------------------------------------- events

function openEvents() {
  setState("events", "connecting");
  const mine = (source = new EventSource("/events"));
  mine.onopen = () => setState("events", "live");
  // It reconnects by itself, except when it is refused.
  mine.onerror = async () => {
    if (source !== mine) return;
    setState("events", "connecting");
    if (mine.readyState !== EventSource.CLOSED) return;
    if (await leaveIfEnded("The session has ended.")) return;
    setTimeout(() => source === mine && openEvents(), 2000);
  };
  mine.addEventListener("mention", ({ data }) => {
    const { name, text } = JSON.parse(data);
    append("events", `${name} mentioned you: ${text}`);
  });
  mine.addEventListener("news", ({ data }) => append("events", `News: ${data}`));
  mine.addEventListener("realtime.bye", ({ data }) => {
    if (source === mine) leaveIfEnded(JSON.parse(data).reason);
  });
}

// ---------------------------------------------------------------- chat

/** The code of a connection that must not be opened again with the same session. */
const UNAUTHENTICATED = 4401;

function openChat(lastId) {
  setState("chat", "connecting");
  const query = lastId === null ? "" : `?last_event_id=${encodeURIComponent(lastId)}`;
  const mine = (socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/chat${query}`));
  mine.onopen = () => setState("chat", "live");
  mine.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    lastId = message.id ?? lastId;
    if (message.event === "said") append("chat", `${message.data.name}: ${message.data.text}`);
    show("chat-error", message.event === "error" ? message.data : "");
  };
  mine.onclose = async ({ code, reason }) => {
    if (socket !== mine) return;
    if (code === UNAUTHENTICATED) return leave(reason);
    setState("chat", "connecting");
    if (await leaveIfEnded("The session has ended.")) return;
    retry = setTimeout(() => socket === mine && openChat(lastId), 500 + Math.random() * 2000);
  };
}

byId("say").addEventListener("submit", (event) => {
  event.preventDefault();
  if (socket?.readyState !== WebSocket.OPEN) return;
  socket.send(byId("text").value);
  byId("text").value = "";
});

// ---------------------------------------------------------------- start

const user = await whoIsIt();
if (user === null) leave("");
else enter(user);
