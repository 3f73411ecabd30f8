
/* Responses as nodes. Text becomes text nodes only; what a reader cannot see is written as its code point. */
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/u;
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
  let plain = "";
  for (const letter of text) {
    if (!UNSEEN.test(letter)) { plain += letter; continue; }
    if (plain) parts.push(plain);
    parts.push(node("span", { class: "unseen" }, `\u27e8${codePoint(letter)}\u27e9`));
    plain = "";
  }
  return plain ? [...parts, plain] : parts;
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
