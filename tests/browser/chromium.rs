//! A browser and what a test does with it.

use std::{
    env,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    sync::Mutex,
    thread,
    time::Duration,
};

use fantoccini::{Client, ClientBuilder, Locator, elements::Element, wd::Capabilities};
use hyper_util::client::legacy::connect::HttpConnector;
use realtime_testkit::{DEADLINE, http::Request, wait};
use serde_json::{Value, json};
use tokio::{process::Command, time::sleep};

use super::{
    folder::Folder,
    server::{Program, call, post},
};

const BROWSERS: [&str; 4] =
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Quiet, without a screen, and as root if need be. With the pipe, Chromium ends with its driver.
const ARGUMENTS: [&str; 11] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1280,900",
    "--remote-debugging-pipe",
];

/// Leaves the machine to the browser: a look is a command to the driver and a script in the page.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// A headless Chromium with one tab and a profile of its own; gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Browser {
    client: Client,
    session: String,
    driver_addr: SocketAddr,
    /// What the last script returned, for the message of a wait that failed.
    last: Mutex<String>,
    // Dropped in this order: nothing writes to the profile when it is removed.
    _driver: Program,
    _profile: Folder,
}

impl Browser {
    pub(crate) async fn start() -> Self {
        let (browser, driver) = (find(&BROWSERS), find(&["chromedriver"]));
        let mut command = Command::new(driver);
        command.arg("--port=0");
        let started = Program::start(command, "started successfully on port ").await;
        let (driver, port) = started.expect("chromedriver runs");
        let port = port.trim_end_matches('.').parse::<u16>().unwrap();
        let driver_addr = SocketAddr::from(([127, 0, 0, 1], port));

        let profile = Folder::new("browser");
        let mut arguments = ARGUMENTS.map(str::to_owned).to_vec();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        let mut capabilities = Capabilities::new();
        let options = json!({ "binary": browser, "args": arguments });
        capabilities.insert("goog:chromeOptions".to_owned(), options);
        capabilities.insert("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" }));
        let mut client = ClientBuilder::new(HttpConnector::new());
        let driver_url = format!("http://{driver_addr}");
        let client = client.capabilities(capabilities).connect(&driver_url).await;
        let client = client.expect("chromedriver starts Chromium");
        let session = client.session_id().await.unwrap().expect("a session has an id");
        Self {
            client,
            session,
            driver_addr,
            last: Mutex::default(),
            _driver: driver,
            _profile: profile,
        }
    }

    pub(crate) async fn goto(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    pub(crate) async fn reload(&self) {
        self.client.refresh().await.unwrap();
    }

    /// Opens a page in a tab of its own, which is the one used from now on.
    pub(crate) async fn open_tab(&self, url: &str) -> Tab {
        let tab = self.client.new_window(true).await.unwrap().handle;
        self.client.switch_to_window(tab.clone()).await.unwrap();
        self.goto(url).await;
        Tab(tab)
    }

    /// The tab that is used now.
    pub(crate) async fn tab(&self) -> Tab {
        Tab(self.client.window().await.unwrap())
    }

    pub(crate) async fn switch_to(&self, tab: &Tab) {
        self.client.switch_to_window(tab.0.clone()).await.unwrap();
    }

    /// What a script returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.remember(self.client.execute(script, Vec::new()).await.unwrap())
    }

    /// What a script gives to the function `done`.
    pub(crate) async fn run_async(&self, script: &str) -> Value {
        let script = format!("const done = arguments[0]; {script}");
        self.remember(self.client.execute_async(&script, Vec::new()).await.unwrap())
    }

    /// Waits until a script returns what `enough` accepts.
    pub(crate) async fn until(
        &self,
        what: &str,
        script: &str,
        enough: impl Fn(&Value) -> bool,
    ) -> Value {
        let mut value = Value::Null;
        wait::until_async(what, async || {
            value = self.run(script).await;
            let enough = enough(&value);
            if !enough {
                sleep(BETWEEN_LOOKS).await;
            }
            enough
        })
        .await;
        value
    }

    /// The text of an element.
    pub(crate) async fn text(&self, id: &str) -> String {
        let value = self.run(&format!("return {}.textContent", by_test_id(id))).await;
        value.as_str().unwrap().to_owned()
    }

    /// Waits until an element's text contains `part`.
    pub(crate) async fn until_text(&self, id: &str, part: &str) {
        let script = format!("return {}.textContent", by_test_id(id));
        let what = format!("{id} says {part:?}");
        self.until(&what, &script, |text| text.as_str().unwrap().contains(part)).await;
    }

    /// The figure that an element shows; `NaN` as long as there is none.
    pub(crate) async fn figure(&self, id: &str) -> f64 {
        number(&self.run(&figure_of(id)).await)
    }

    /// Waits until `enough` accepts the figure of an element.
    pub(crate) async fn until_figure(
        &self,
        id: &str,
        what: &str,
        enough: impl Fn(f64) -> bool,
    ) -> f64 {
        let what = format!("{id} {what}");
        number(&self.until(&what, &figure_of(id), |value| enough(number(value))).await)
    }

    /// The number that is an element's text; 0 as long as there is none.
    pub(crate) async fn count(&self, id: &str) -> u64 {
        self.text(id).await.parse().unwrap_or_default()
    }

    /// Waits until the number that is an element's text is at least `least`.
    pub(crate) async fn until_count(&self, id: &str, least: u64) {
        let script = format!("return Number({}.textContent) || 0", by_test_id(id));
        let what = format!("{id} is {least} or more");
        self.until(&what, &script, |count| count.as_u64().is_some_and(|it| it >= least)).await;
    }

    pub(crate) async fn click(&self, id: &str) {
        self.element(&by_css(id)).await.click().await.unwrap();
    }

    pub(crate) async fn click_on(&self, css: &str) {
        self.element(css).await.click().await.unwrap();
    }

    /// Types into a field, in place of what is there.
    pub(crate) async fn fill(&self, id: &str, text: &str) {
        let field = self.element(&by_css(id)).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// What the tab's console has told since the last call: warnings, errors and exceptions.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let entries = self.vendor("se/log", json!({ "type": "browser" })).await;
        let complaints = entries.as_array().unwrap().iter();
        complaints
            .filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING")
            .map(|entry| entry["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// The whole page as a PNG in base64, wider and higher than the window if it has to be.
    pub(crate) async fn screenshot(&self) -> String {
        let parameters = json!({ "format": "png", "captureBeyondViewport": true });
        let body = json!({ "cmd": "Page.captureScreenshot", "params": parameters });
        let taken = self.vendor("goog/cdp/execute", body).await;
        taken["data"].as_str().unwrap().to_owned()
    }

    /// A command that only this browser has.
    async fn vendor(&self, command: &str, body: Value) -> Value {
        let request = post(&format!("/session/{}/{command}", self.session), &body.to_string());
        let mut answer: Value =
            serde_json::from_str(&call(self.driver_addr, request).await.text()).unwrap();
        answer["value"].take()
    }

    /// A cookie of the page, as in `Set-Cookie`; also one that the page itself can't see.
    pub(crate) async fn cookie(&self, name: &str) -> String {
        self.client.get_named_cookie(name).await.unwrap().to_string()
    }

    async fn element(&self, css: &str) -> Element {
        self.client.find(Locator::Css(css)).await.unwrap()
    }

    /// Ends Chromium and waits until it has ended. Blocks, to be there for a test that panics.
    fn quit(&self) -> io::Result<()> {
        let mut driver = TcpStream::connect(self.driver_addr)?;
        driver.set_read_timeout(Some(DEADLINE))?;
        let request = Request::get(&format!("/session/{}", self.session)).method("DELETE");
        let request = request.header("Host", self.driver_addr.to_string());
        driver.write_all(&request.bytes())?;
        driver.read(&mut [0]).map(|_| ())
    }

    fn remember(&self, value: Value) -> Value {
        *self.last.lock().unwrap() = value.to_string();
        value
    }
}

impl Drop for Browser {
    #[expect(clippy::print_stderr, reason = "the message of a failed test")]
    fn drop(&mut self) {
        // Otherwise it ends with the driver, but may write to its profile when that is gone.
        let _ = self.quit();
        if thread::panicking()
            && let Ok(last) = self.last.lock()
        {
            eprintln!("the browser's last answer: {last}");
        }
    }
}

/// A tab of a browser.
#[derive(Debug)]
pub(crate) struct Tab(fantoccini::wd::WindowHandle);

fn by_css(id: &str) -> String {
    format!("[data-testid='{id}']")
}

fn by_test_id(id: &str) -> String {
    format!("document.querySelector(\"{}\")", by_css(id))
}

fn figure_of(id: &str) -> String {
    format!("return {}.dataset.value", by_test_id(id))
}

fn number(value: &Value) -> f64 {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

fn find(names: &[&str]) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = env::split_paths(&path).collect();
    let mut programs = names.iter().flat_map(|name| folders.iter().map(move |it| it.join(name)));
    programs.find(|program| program.is_file()).unwrap_or_else(|| {
        panic!("no {} on PATH: run `apt-get install chromium chromium-driver`", names[0])
    })
}
