//! The example `auth_cookie`: login, what it opens, and logout.

use std::time::Duration;

use super::{chromium::Browser, server::Server};

/// More than the default reconnection time of an event stream with its jitter.
const COMES_BACK: Duration = Duration::from_secs(5);
const LOGIN_SHOWS: &str = "return document.getElementById('login').checkVisibility()";

pub(crate) async fn who_logs_in_gets_events_and_chats() {
    let server = Server::example("auth_cookie").await;
    let browser = Browser::start().await;
    browser.goto(&server.url("/")).await;
    assert_eq!(server.stats().await["rejected"], 0, "the page asks for nothing before the login");

    log_in_as(&browser, "ada", "wrong").await;
    browser.until_text("login-error", "the name or the password is wrong").await;
    log_in_as(&browser, "ada", "lovelace").await;
    until_live(&browser).await;
    assert_eq!(browser.text("me").await, "ada");
    assert_eq!(browser.run(LOGIN_SHOWS).await, false);
    let ada = browser.tab().await;

    let cookie = browser.cookie("session").await;
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    assert_eq!(browser.run("return document.cookie").await, "", "no script sees the cookie");

    // Another tab has the session as well; a second person needs a browser of their own.
    browser.open_tab(&server.url("/")).await;
    until_live(&browser).await;
    let other = Browser::start().await;
    other.goto(&server.url("/")).await;
    log_in_as(&other, "bea", "buttercup").await;
    until_live(&other).await;
    browser.switch_to(&ada).await;
    browser.until_text("events", "News: bea is here").await;

    say(&browser, "hello @bea").await;
    other.until_text("chat", "ada: hello @bea").await;
    other.until_text("events", "ada mentioned you: hello @bea").await;
    // Behind the mention: had it gone to all, it would be there before this.
    say(&browser, "/news the library is open").await;
    browser.until_text("events", "News: ada: the library is open").await;
    assert!(!browser.text("events").await.contains("mentioned"), "it was for bea alone");

    say(&other, "/news nobody asked me").await;
    other.until_text("chat-error", "publishing to \"news\" is not permitted").await;
    say(&other, "<b>well</b>").await;
    browser.until_text("chat", "bea: <b>well</b>").await;
    assert!(!browser.text("events").await.contains("nobody asked me"));
}

pub(crate) async fn a_logout_closes_every_tab() {
    let server = Server::example("auth_cookie").await;
    let browser = Browser::start().await;
    browser.goto(&server.url("/")).await;
    log_in_as(&browser, "cem", "cinnamon").await;
    until_live(&browser).await;
    let first = browser.tab().await;
    let second = browser.open_tab(&server.url("/")).await;
    until_live(&browser).await;
    let stats = server.stats().await;
    assert_eq!(
        (&stats["connections_sse"], &stats["connections_websocket"]),
        (&2.into(), &2.into())
    );
    assert_eq!(stats["identities"], 1);
    let session = browser.cookie("session").await;

    browser.switch_to(&first).await;
    browser.click("log-out").await;
    browser.until_text("ended", "logged out").await;
    browser.switch_to(&second).await;
    browser.until_text("ended", "logged out").await;

    let rejected = server.stats().await["rejected"].clone();
    tokio::time::sleep(COMES_BACK).await;
    let stats = server.stats().await;
    assert_eq!(
        (&stats["connections_sse"], &stats["connections_websocket"]),
        (&0.into(), &0.into())
    );
    assert_eq!(stats["rejected"], rejected, "no tab tries to come back");

    // The session is gone on the server too, for who kept its id.
    let id = session.split([';', '=']).nth(1).unwrap().to_owned();
    let again = format!(
        "document.cookie = 'session={id}; path=/';
        const socket = new WebSocket('ws://{}/chat');
        socket.onopen = () => done('open');
        socket.onclose = ({{ code }}) => done(code);",
        server.addr()
    );
    assert_eq!(browser.run_async(&again).await, 1006);
    assert_eq!(browser.run("return document.cookie").await, format!("session={id}"));
}

async fn log_in_as(browser: &Browser, user: &str, password: &str) {
    browser.until("the page asks for a login", LOGIN_SHOWS, |shows| *shows == true).await;
    browser.fill("user", user).await;
    browser.fill("password", password).await;
    browser.click("log-in").await;
}

async fn until_live(browser: &Browser) {
    browser.until_text("events-state", "live").await;
    browser.until_text("chat-state", "live").await;
}

async fn say(browser: &Browser, text: &str) {
    browser.fill("text", text).await;
    browser.click("say").await;
}
