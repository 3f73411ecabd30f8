
/* Responses as nodes. Text becomes text nodes only; what a reader cannot see is written as its code point. */
/* The pattern of bench/results/unseen.py, by a test the same. */
const UNSEEN = new RegExp(
  [
    String.raw`[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-`
      + String.raw`\u202e\u2060-\u206f\u3164\ud800-\udfff\ufdd0-\ufdef\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\u{1bca0}-`
      + String.raw`\u{1bca3}\u{1d173}-\u{1d17a}\u{1fffe}\u{1ffff}\u{2fffe}\u{2ffff}\u{3fffe}\u{3ffff}\u{4fffe}\u{4ffff}`
      + String.raw`\u{5fffe}\u{5ffff}\u{6fffe}\u{6ffff}\u{7fffe}\u{7ffff}\u{8fffe}\u{8ffff}\u{9fffe}\u{9ffff}\u{afffe}`
      + String.raw`\u{affff}\u{bfffe}\u{bffff}\u{cfffe}\u{cffff}\u{dfffe}\u{dffff}\u{e0000}-\u{e00ff}\u{e01f0}-\u{e0fff}`
      + String.raw`\u{efffe}\u{effff}\u{ffffe}\u{fffff}\u{10fffe}\u{10ffff}]`,
    String.raw`(?<![^\x00-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff])(?<!\ufe0f)[\u200c`
      + String.raw`\u200d]`,
    String.raw`[\u200c\u200d](?![^\x00-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff])`,
    String.raw`(?<![^\x00-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff])(?![\ufe0e\ufe0f]`
      + String.raw`\u20e3)[\u180b-\u180d\u180f\ufe00-\ufe0f]`,
    String.raw`(?<![\u3400-\u9fff\uf900-\ufaff\u{20000}-\u{3ffff}])[\u{e0100}-\u{e01ef}]`,
  ].join("|"),
  "gu",
);
const MOST_CELLS = 4_000_000;

function node(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function codePoint(letter) {
  return `U+${letter.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
}

/* Text as nodes, unseen characters spelt out. */
function readable(text) {
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(UNSEEN)) {
    if (found.index > end) parts.push(text.slice(end, found.index));
    parts.push(node("span", { class: "unseen" }, `\u27e8${codePoint(found[0])}\u27e9`));
    end = found.index + found[0].length;
  }
  return end < text.length ? [...parts, text.slice(end)] : parts;
}

/* Words with their places, counted in code points as the claims are. */
function wordsOf(text) {
  const found = [];
  let place = 0, word = "", start = 0;
  for (const letter of [...text, " "]) {
    if (/\s/u.test(letter)) {
      if (word) found.push({ word, start, end: place });
      word = "";
    } else {
      if (!word) start = place;
      word += letter;
    }
    place += 1;
  }
  return found;
}

/* For two lists of words: which of each belong to no longest common subsequence; null where the lists are too long. */
function differing(one, other) {
  let head = 0, tail = 0;
  const least = Math.min(one.length, other.length);
  while (head < least && one[head].word === other[head].word) head += 1;
  while (tail < least - head && one.at(-1 - tail).word === other.at(-1 - tail).word) tail += 1;
  const n = one.length - head - tail, m = other.length - head - tail;
  if ((n + 1) * (m + 1) > MOST_CELLS) return null;
  const wide = m + 1, common = new Uint16Array((n + 1) * wide);
  for (let i = n - 1; i >= 0; i -= 1) {
    for (let j = m - 1; j >= 0; j -= 1) {
      common[i * wide + j] = one[head + i].word === other[head + j].word
        ? common[(i + 1) * wide + j + 1] + 1
        : Math.max(common[(i + 1) * wide + j], common[i * wide + j + 1]);
    }
  }
  const ours = new Set(), theirs = new Set();
  let i = 0, j = 0;
  while (i < n || j < m) {
    if (i < n && j < m && one[head + i].word === other[head + j].word) { i += 1; j += 1; }
    else if (j === m || (i < n && common[(i + 1) * wide + j] >= common[i * wide + j + 1])) { ours.add(head + i); i += 1; }
    else { theirs.add(head + j); j += 1; }
  }
  return [ours, theirs];
}

/* The stretches of a text's code points that only it has, each [start, end); words side by side are one stretch. */
function stretches(words, places) {
  const found = [];
  words.forEach((word, place) => {
    if (!places.has(place)) return;
    if (places.has(place - 1)) found.at(-1)[1] = word.end;
    else found.push([word.start, word.end]);
  });
  return found;
}

/* A response as nodes: marked where it differs, underlined where it makes a claim. */
function marked(text, differs, claims) {
  const letters = [...text];
  const different = new Uint8Array(letters.length), claimed = new Int32Array(letters.length).fill(-1);
  for (const [start, end] of differs) different.fill(1, start, end);
  claims.forEach(([start, end], place) => { if (start !== null) claimed.fill(place, start, end); });
  const parts = [];
  for (let start = 0, end = 0; start < letters.length; start = end) {
    while (end < letters.length && different[end] === different[start] && claimed[end] === claimed[start]) end += 1;
    let inner = readable(letters.slice(start, end).join(""));
    if (claimed[start] >= 0) {
      const label = claims[claimed[start]][2];
      inner = [node("span", { class: label, title: label.replace("_", " ") }, ...inner)];
    }
    parts.push(...(different[start] ? [node("mark", { class: "differs" }, ...inner)] : inner));
  }
  return parts;
}
