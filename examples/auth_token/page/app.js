/** A new token, and how many seconds it is good for. Asked for with the user's password, usually. */
async function newToken(user) {
  const answer = await fetch(`/token?user=${encodeURIComponent(user)}`, { method: "POST" });
  if (!answer.ok) throw new Error(await answer.text());
  const { token, expires_in } = await answer.json();
  return { token, seconds: expires_in };
}

const address = `${location.origin.replace(/^http/, "ws")}/ws`;

/**
 * In the handshake: the handler runs at once. A browser that offers subprotocols wants one back,
 * which is never the token; hence "realtime" beside it.
 */
function bySubprotocol(token) {
  return new WebSocket(address, ["realtime", `base64url.bearer.${token}`]);
}

/** Afterwards: nothing but this message is taken until it has come. */
function byFirstMessage(token) {
  const socket = new WebSocket(address);
  socket.addEventListener("open", () => socket.send(JSON.stringify({ token })));
  return socket;
}

/** A panel with a WebSocket in it that is opened by `open`. */
function addPanel(name, title, how, open) {
  const panel = document.getElementById("panel").content.cloneNode(true).firstElementChild;
  const one = (selector) => panel.querySelector(selector);
  const show = (selector, text) => (one(selector).textContent = text);
  for (const part of ["state", "who", "tick", "refreshed", "left", "why", "connect", "refresh", "other"]) {
    one(`.${part}`).dataset.testid = `${name}-${part}`;
  }
  show(".title", title);
  show(".how code", how);
  one(".other").disabled = true;
  document.getElementById("panels").append(panel);

  let socket = null;
  let refreshed = 0;
  let expiresAt = 0;
  let nextRefresh = null;

  function setState(state) {
    one(".state").dataset.state = state;
    show(".state", state);
    one(".connect").disabled = state !== "closed";
    one(".other").disabled = state !== "live";
  }

  /** Refreshes when half of the token's life is over, if that is wanted then. */
  function expectExpiry(seconds) {
    expiresAt = Date.now() + seconds * 1000;
    clearTimeout(nextRefresh);
    nextRefresh = setTimeout(() => one(".refresh").checked && refresh(), seconds * 500);
  }

  async function refresh() {
    const mine = socket;
    const { token, seconds } = await newToken("ada");
    if (mine.readyState !== WebSocket.OPEN) return;
    mine.send(JSON.stringify({ token }));
    show(".refreshed", ++refreshed);
    expectExpiry(seconds);
  }

  async function connect() {
    setState("connecting");
    show(".why", "");
    show(".refreshed", (refreshed = 0));
    const { token, seconds } = await newToken("ada");
    expectExpiry(seconds);
    const mine = (socket = open(token));
    mine.addEventListener("message", ({ data }) => {
      const message = JSON.parse(data);
      if (message.topic === "ticks") show(".tick", message.data);
      if (message.event !== "hello") return;
      show(".who", `you are ${message.data}`);
      setState("live");
    });
    mine.addEventListener("close", ({ code, reason }) => {
      clearTimeout(nextRefresh);
      show(".why", `closed with ${code}: ${reason}`);
      setState("closed");
    });
  }

  one(".connect").addEventListener("click", connect);
  one(".refresh").addEventListener("change", ({ target }) => {
    if (target.checked && socket?.readyState === WebSocket.OPEN) refresh();
  });
  one(".other").addEventListener("click", async () => {
    const { token } = await newToken("mallory");
    socket.send(JSON.stringify({ token }));
  });
  setInterval(() => {
    const left = Math.max(0, Math.round((expiresAt - Date.now()) / 1000));
    show(".left", socket?.readyState === WebSocket.OPEN ? left : "–");
  }, 250);
  connect();
}

addPanel("subprotocol", "Subprotocol", "new WebSocket(url, [\"realtime\", \"base64url.bearer.\" + token])", bySubprotocol);
addPanel("message", "First message", "socket.send(JSON.stringify({ token }))", byFirstMessage);
