// Renews the page: fetches it and puts the new parts in place. Without an answer it says so and fades what is old.
"use strict";

const seconds = Number(document.getElementById("network").dataset.refresh);
const lost = document.getElementById("lost");

async function renew() {
  try {
    const answer = await fetch("/", { cache: "no-store", signal: AbortSignal.timeout(10000) });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const focused = document.activeElement?.getAttribute("href");
    document.getElementById("network").replaceWith(fresh.getElementById("network"));
    if (focused) document.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    // Only a change is spoken by a screen reader.
    const headline = document.getElementById("headline");
    const said = fresh.getElementById("headline").textContent;
    if (headline.textContent !== said) headline.textContent = said;
    document.title = fresh.title;
    lost.hidden = true;
    document.body.classList.remove("old");
  } catch {
    lost.hidden = false;
    document.body.classList.add("old");
  }
  setTimeout(renew, seconds * 1000);
}

setTimeout(renew, seconds * 1000);
