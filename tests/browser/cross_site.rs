//! Pages of others, opened by somebody who is logged in at `auth_cookie`: what they try with the
//! victim's cookie must not work (cross-site WebSocket hijacking), and what the site itself does
//! with it must.

use realtime_testkit::{
    http::{Request, Response, exchange},
    proxy::{Proxy, RequestHead},
    wait,
};
use serde_json::{Value, json};

use super::{chromium::Browser, server::Server};

/// The victim's browser, and the site where she is logged in.
struct Victim {
    browser: Browser,
    server: Server,
    /// The site as the browser knows it; it keeps the heads of the requests.
    site: Proxy,
}

const LOG_IN: &str = "fetch('/session', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ user: 'ada', password: 'lovelace' }),
    }).then(({ status }) => done(status))";

impl Victim {
    async fn logged_in() -> Self {
        let server = Server::example("auth_cookie").await;
        let site = Proxy::to(server.addr()).await;
        let browser = Browser::start().await;
        // No page with anything open: the browser keeps one that is left, and what it has open.
        browser.goto(&format!("http://{}/stats", site.addr())).await;
        let status = browser.run_async(LOG_IN).await;
        assert_eq!(status, 204);
        Self { browser, server, site }
    }

    async fn until_alone(&self) {
        wait::until_async("nothing is open", async || {
            let stats = self.server.stats().await;
            stats["connections_websocket"] == 0 && stats["connections_sse"] == 0
        })
        .await;
    }

    /// What a page gets by a WebSocket, an event stream and a fetch, each with the cookie where the
    /// browser gives it one. It waits for the end of all three, or for what they bring.
    async fn attempts(&self) -> Value {
        self.browser.run_async(&format!("{}.then(done);", self.script())).await
    }

    fn script(&self) -> String {
        let site = self.site.addr();
        format!(
            "Promise.all([
                new Promise((done) => {{
                    const socket = new WebSocket('ws://{site}/chat');
                    socket.onmessage = ({{ data }}) => done(JSON.parse(data).event);
                    socket.onclose = ({{ code }}) => done(code);
                }}),
                new Promise((done) => {{
                    const source = new EventSource('http://{site}/events', {{ withCredentials: true }});
                    source.onopen = () => done('open');
                    source.onerror = () => done(source.readyState === EventSource.CLOSED ? 'refused' : 'cut');
                }}),
                fetch('http://{site}/session', {{ credentials: 'include' }})
                    .then((answer) => answer.text(), () => 'not readable'),
            ])"
        )
    }

    /// Expects that attempts have got nothing, and that the hub refused the socket and the stream.
    async fn got_nothing(&self, attempts: &Value, rejected_before: u64) {
        assert_eq!(*attempts, json!([1006, "refused", "not readable"]));
        let stats = self.server.stats().await;
        assert_eq!(stats["rejected"].as_u64().unwrap() - rejected_before, 2);
        assert_eq!(stats["connections_websocket"], 0);
        assert_eq!(stats["connections_sse"], 0);
    }

    async fn rejected(&self) -> u64 {
        self.server.stats().await["rejected"].as_u64().unwrap()
    }

    /// Expects that the cookie is good, and opens everything to a page of the site.
    async fn is_still_served_at_home(&self) {
        self.browser.goto(&format!("http://{}/stats", self.site.addr())).await;
        let own = json!(["realtime.ready", "open", "{\"user\":\"ada\"}"]);
        assert_eq!(self.attempts().await, own);
    }

    /// Expects that `origin` is refused also where a browser sends the cookie along, as this one
    /// does not from another site. The last requests are those of the site's own page.
    async fn would_be_refused_with_the_cookie(&self, origin: &str) {
        for path in ["/chat", "/events"] {
            let head = self.last_request(path);
            assert!(head.headers.get("cookie").is_some(), "{path}");
            let answer = self.answer_to(&head, origin).await;
            assert_eq!(answer.status, 403, "{path}: {}", answer.text());
        }
    }

    /// The head of the last request for `path` that the site was sent.
    fn last_request(&self, path: &str) -> RequestHead {
        let requests = self.site.requests();
        let found = requests.into_iter().rfind(|request| request.target() == path);
        found.expect("the browser has sent it")
    }

    /// The answer to a request with the fields of `head`, with `origin` in place of the page's.
    async fn answer_to(&self, head: &RequestHead, origin: &str) -> Response {
        let fields = head.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("origin"));
        let request = fields.fold(Request::get(head.target()), |request, (name, value)| {
            request.header(name, value)
        });
        exchange(self.site.addr(), request.header("Origin", origin).bytes()).await
    }
}

/// Another port of the same host is the same site: browsers send it the cookie, `SameSite` or not.
pub(crate) async fn another_port_of_the_host_gets_nothing_by_the_cookie() {
    let victim = Victim::logged_in().await;
    let rejected = victim.rejected().await;
    let evil = Proxy::to(victim.server.addr()).await;
    victim.browser.goto(&format!("http://{}/stats", evil.addr())).await;
    let attempts = victim.attempts().await;
    victim.got_nothing(&attempts, rejected).await;

    // The browser did send the cookie, and all that is wrong with the requests is the origin.
    let (own, others) =
        (format!("http://{}", victim.site.addr()), format!("http://{}", evil.addr()));
    for path in ["/chat", "/events", "/session"] {
        let head = victim.last_request(path);
        assert_eq!(head.headers.text("origin"), Some(&*others), "{path}");
        let cookie = head.headers.text("cookie").unwrap_or_default();
        assert!(cookie.starts_with("session="), "{path}: {cookie:?}");
    }
    for path in ["/chat", "/events"] {
        let refused = victim.answer_to(&victim.last_request(path), &others).await;
        assert_eq!(refused.status, 403, "{path}: {}", refused.text());
        assert!(refused.text().contains("is not allowed here"), "{path}: {}", refused.text());
    }
    let accepted = victim.answer_to(&victim.last_request("/chat"), &own).await;
    assert_eq!(accepted.status, 101, "{}", accepted.text());
    victim.until_alone().await;
    victim.is_still_served_at_home().await;
}

/// Another name for the same machine is another site.
pub(crate) async fn another_name_of_the_host_gets_nothing() {
    let victim = Victim::logged_in().await;
    let rejected = victim.rejected().await;
    let evil = format!("http://localhost:{}", victim.site.addr().port());
    victim.browser.goto(&format!("{evil}/stats")).await;
    let attempts = victim.attempts().await;
    victim.got_nothing(&attempts, rejected).await;
    assert_eq!(victim.last_request("/chat").headers.text("origin"), Some(&*evil));
    victim.is_still_served_at_home().await;
    victim.would_be_refused_with_the_cookie(&evil).await;
}

/// Any page can load itself into a frame of which the origin is `null`.
pub(crate) async fn a_sandboxed_frame_gets_nothing() {
    let victim = Victim::logged_in().await;
    let rejected = victim.rejected().await;
    let html =
        format!("<script>{}.then((all) => parent.postMessage(all, '*'))</script>", victim.script());
    let frame = format!(
        "addEventListener('message', ({{ data }}) => done(data));
        const frame = document.createElement('iframe');
        frame.sandbox = 'allow-scripts';
        frame.srcdoc = {};
        document.body.append(frame);",
        json!(html)
    );
    let attempts = victim.browser.run_async(&frame).await;
    victim.got_nothing(&attempts, rejected).await;
    assert_eq!(victim.last_request("/chat").headers.text("origin"), Some("null"));
    victim.is_still_served_at_home().await;
    victim.would_be_refused_with_the_cookie("null").await;
}
