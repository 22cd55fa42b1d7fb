// Opens a page (argument 1, a file) in Chromium (argument 2), without a network, and says as JSON what came of it.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const puppeteer = createRequire(process.env.NODE_PATH + "/")("puppeteer-core");
const [file, chromium] = process.argv.slice(2);
const browser = await puppeteer.launch({
  executablePath: chromium,
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});
const said = { requests: [], errors: [], dialogs: 0 };
try {
  const page = await browser.newPage();
  await page.setOfflineMode(true);
  page.on("request", (request) => said.requests.push(request.url().slice(0, 200)));
  page.on("pageerror", (error) => said.errors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && said.errors.push(message.text()));
  page.on("dialog", (dialog) => { said.dialogs += 1; dialog.dismiss(); });
  await page.goto(pathToFileURL(file).href);
  const text = () => page.evaluate(() => document.querySelector(".ap-term")?.textContent ?? "");
  const shows = (word) =>
    page.waitForFunction((word) => document.querySelector(".ap-term")?.textContent.includes(word), {}, word);
  // By itself: nobody has pressed a key.
  await shows("first");
  said.begun = await text();
  await page.keyboard.press("Space");
  const clock = () => page.evaluate(() => document.querySelector(".ap-time-elapsed")?.textContent ?? "");
  said.paused = await page.evaluate(() => document.activeElement?.className ?? "");
  await page.keyboard.press("9");
  await shows("second");
  await page.keyboard.press("Space");
  await shows("last");
  said.ended = await text();
  said.clock = await clock();
  said.title = await page.title();
  said.marks = await page.evaluate(() => window.marked ?? "none");
  said.inView = await page.evaluate(() => {
    const box = document.querySelector(".ap-player").getBoundingClientRect();
    return box.right <= innerWidth + 1 && box.bottom <= innerHeight + 1;
  });
  if (process.env.PICTURE) await page.screenshot({ path: process.env.PICTURE });
} finally {
  await browser.close();
}
console.log(JSON.stringify(said));
