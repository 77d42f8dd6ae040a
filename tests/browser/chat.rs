//! The demo's chat.

use serde_json::json;

use super::{chromium::Browser, server::Server};
use crate::Adapter;

/// The names and texts in the log, in order.
const LOG: &str = "return [...document.querySelectorAll('#chat-log .chat-message')]
    .map((item) => [item.querySelector('.name').textContent, item.querySelector('p').textContent])";

pub(crate) async fn tabs_talk_and_refusals_are_shown(adapter: Adapter) {
    let server = Server::demo(adapter).await;
    let browser = Browser::start().await;
    browser.goto(&server.url("/")).await;
    refusals_are_shown(&browser).await;
    tabs_talk_to_each_other(&browser, &server).await;
}

async fn refusals_are_shown(browser: &Browser) {
    join_as(browser, "Ada").await;

    browser.click("chat-send").await;
    browser.until_text("chat-error", "The message is empty.").await;

    let most = "x".repeat(500);
    say(browser, &format!("{most}y")).await;
    browser
        .until_text("chat-error", "The message has 501 characters; at most 500 are allowed.")
        .await;
    // Behind the refusals: had those been published, they would be in the log before this.
    say(browser, &most).await;
    browser.until("only the last is there", LOG, |log| *log == json!([["Ada", most]])).await;
    assert_eq!(browser.text("chat-error").await, "");

    browser.fill("chat-room-input", "nowhere").await;
    browser.click("chat-join").await;
    browser.until_text("chat-error", "no room \"nowhere\": try lobby, rust, random").await;
    browser.until_text("chat-status", "not connected").await;

    browser.click_on("[data-room=lobby]").await;
    browser.until_text("chat-status", "live in lobby").await;
    assert_eq!(browser.text("chat-error").await, "");
}

async fn tabs_talk_to_each_other(browser: &Browser, server: &Server) {
    let ada = browser.tab().await;
    browser.click_on("[data-room=rust]").await;
    browser.until_text("chat-status", "live in rust").await;
    let bea = browser.open_tab(&server.url("/")).await;
    join_as(browser, "Bea").await;
    browser.click_on("[data-room=rust]").await;
    browser.until_text("chat-status", "live in rust").await;

    browser.switch_to(&ada).await;
    say(browser, "is <b>anybody</b> there?").await;
    browser.switch_to(&bea).await;
    let first = json!(["Ada", "is <b>anybody</b> there?"]);
    browser.until("Bea reads Ada", LOG, |log| *log == json!([first])).await;

    say(browser, "I am 🦀").await;
    browser.switch_to(&ada).await;
    let both = json!([first, ["Bea", "I am 🦀"]]);
    browser.until("Ada reads both", LOG, |log| *log == both).await;

    browser.open_tab(&server.url("/")).await;
    browser.click_on("[data-room=rust]").await;
    browser.until("who comes later reads both", LOG, |log| *log == both).await;
}

pub(crate) async fn join_as(browser: &Browser, name: &str) {
    browser.fill("chat-name", name).await;
    browser.click("chat-join").await;
    browser.until_text("chat-status", "live in lobby").await;
}

pub(crate) async fn say(browser: &Browser, text: &str) {
    browser.fill("chat-input", text).await;
    browser.click("chat-send").await;
}
