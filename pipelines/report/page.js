"use strict";
// What the page can do by itself: find words in all of it, folded parts too, and show where one is.
(() => {
  const box = document.querySelector(".find");
  const input = box.querySelector("input");
  const hits = box.querySelector(".hits");
  const MOST = 40;
  let places = null; // [element, its words, the section's name], made when they are first asked for

  function index() {
    const all = "main h2, main h3, main summary, main tbody tr, main .findings li, main .sample, main figcaption, .multiples > li, main .names a";
    const section = new Map();
    for (const one of document.querySelectorAll("main section")) {
      section.set(one, one.querySelector("h2")?.textContent ?? "");
    }
    return [...document.querySelectorAll(all)].map((one) => {
      const words = one.textContent.replace(/\s+/g, " ").trim();
      return [one, words, words.toLowerCase(), section.get(one.closest("section")) ?? ""];
    });
  }

  function show(element) {
    for (let at = element.parentElement; at; at = at.parentElement) {
      if (at.tagName === "DETAILS") at.open = true;
    }
    if (element.tagName === "SUMMARY") element.parentElement.open = true;
    document.querySelector(".found")?.classList.remove("found");
    element.classList.add("found");
    element.scrollIntoView({ block: "center" });
  }

  function close() {
    hits.hidden = true;
    hits.replaceChildren();
  }

  function search() {
    const asked = input.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    if (!asked.length) return close();
    places ??= index();
    const found = places.filter(([, , lower]) => asked.every((word) => lower.includes(word)));
    const list = [];
    for (const [element, words, lower, section] of found.slice(0, MOST)) {
      const at = Math.max(0, lower.indexOf(asked[0]) - 30);
      const link = document.createElement("a");
      const leads = element.tagName === "A"; // to what it names, on a page beside this one
      link.href = leads ? element.href : "#" + (element.id ||= "at-" + places.findIndex(([one]) => one === element));
      link.append((at ? "… " : "") + words.slice(at, at + 130) + (words.length > at + 130 ? " …" : ""));
      const where = document.createElement("small");
      where.textContent = section;
      link.append(where);
      link.addEventListener("click", () => { if (!leads) show(element); close(); });
      list.push(link);
    }
    const said = document.createElement("p");
    said.textContent = found.length > MOST ? `${MOST} of ${found.length} places`
      : found.length === 1 ? "1 place" : `${found.length} places`;
    hits.replaceChildren(said, ...list);
    hits.hidden = false;
  }

  input.addEventListener("input", search);
  input.addEventListener("focus", search);
  document.addEventListener("click", (event) => { if (!box.contains(event.target)) close(); });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      input.focus();
    } else if (event.key === "Escape") {
      close();
    } else if (box.contains(document.activeElement) && /^Arrow(Down|Up)$/.test(event.key)) {
      const stops = [input, ...hits.querySelectorAll("a")];
      const step = event.key === "ArrowDown" ? 1 : -1;
      stops[(stops.indexOf(document.activeElement) + step + stops.length) % stops.length].focus();
      event.preventDefault();
    } else if (event.key === "Enter" && document.activeElement === input) {
      hits.querySelector("a")?.click();
    }
  });

  // A link to what is folded away unfolds it.
  function unfold() {
    const element = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (element && element.closest("details")) show(element.tagName === "DETAILS" ? element.firstElementChild : element);
  }
  window.addEventListener("hashchange", unfold);
  unfold();

  // The contents tell which section is being read.
  const links = new Map([...document.querySelectorAll(".side li a")].map((a) => [a.getAttribute("href").slice(1), a]));
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const link = links.get(entry.target.querySelector("h2")?.id);
      if (!link || !entry.isIntersecting) continue;
      for (const other of links.values()) other.removeAttribute("aria-current");
      link.setAttribute("aria-current", "true");
      const list = link.closest("ul");
      if (list.scrollWidth > list.clientWidth) list.scrollTo({ left: link.offsetLeft - list.offsetLeft - 40 });
    }
  }, { rootMargin: "-15% 0px -75% 0px" });
  for (const one of document.querySelectorAll("main section")) watch.observe(one);
})();
