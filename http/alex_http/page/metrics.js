// Prometheus' text format, as far as the page reads it, and what two scrapes tell about the time between them.

/** @typedef {{name: string, labels: Record<string, string>, value: number}} Sample */
/** @typedef {{at: number, samples: Sample[]}} Scrape `at` in milliseconds */

const LINE = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/**
 * Read a scrape (https://prometheus.io/docs/instrumenting/exposition_formats/).
 *
 * @param {string} text
 * @param {string} prefix only metrics whose names begin so
 * @returns {Sample[]}
 */
export function parseMetrics(text, prefix) {
  /** @type {Sample[]} */
  const found = [];
  for (const line of text.split("\n")) {
    const match = line.startsWith(prefix) && LINE.exec(line);
    if (!match) continue;
    const [, name, inside, number] = match;
    const labels = Object.fromEntries(
      [...(inside ?? "").matchAll(LABEL)].map(([, label, value]) => [label, value]),
    );
    found.push({ name, labels, value: number === "+Inf" ? Infinity : Number(number) });
  }
  return found;
}

/**
 * The sum of all samples of a metric that have these labels; null if there is none.
 *
 * @param {Sample[]} samples @param {string} name @param {Record<string, string>} [labels]
 */
export function total(samples, name, labels = {}) {
  const found = samples.filter((one) => one.name === name && has(one, labels));
  return found.length ? found.reduce((sum, { value }) => sum + value, 0) : null;
}

/**
 * How much a counter grew a second between two scrapes. Of one that was set back, since the server was started
 * again, what it has counted since.
 *
 * @param {Scrape} before @param {Scrape} now @param {string} name @param {Record<string, string>} [labels]
 */
export function rate(before, now, name, labels = {}) {
  const seconds = (now.at - before.at) / 1000;
  const later = total(now.samples, name, labels);
  if (seconds <= 0 || later === null) return null;
  const earlier = total(before.samples, name, labels) ?? 0;
  return (later < earlier ? later : later - earlier) / seconds;
}

/**
 * Quantiles of what a histogram observed between two scrapes, interpolated within its buckets as Prometheus'
 * `histogram_quantile` does.
 *
 * @param {Scrape} before @param {Scrape} now @param {string} name without `_bucket`
 * @param {number[]} quantiles from 0 to 1 @param {Record<string, string>} [labels]
 * @returns {number[] | null} in the histogram's unit; null if nothing was observed
 */
export function quantilesBetween(before, now, name, quantiles, labels = {}) {
  const earlier = buckets(before.samples, name, labels);
  const grown = [...buckets(now.samples, name, labels)]
    .map(([bound, value]) => ({ bound, count: value - (earlier.get(bound) ?? 0) }))
    .sort((one, other) => one.bound - other.bound);
  const all = grown.at(-1)?.count ?? 0;
  if (all <= 0) return null;
  return quantiles.map((quantile) => quantileOf(grown, quantile * all));
}

/** @param {{bound: number, count: number}[]} grown cumulative @param {number} rank */
function quantileOf(grown, rank) {
  const at = grown.findIndex(({ count }) => count >= rank);
  const below = at > 0 ? grown[at - 1] : { bound: 0, count: 0 };
  const { bound, count } = grown[at];
  if (bound === Infinity) return below.bound;
  return below.bound + ((bound - below.bound) * (rank - below.count)) / (count - below.count || 1);
}

/**
 * Cumulative counts by upper bound.
 *
 * @param {Sample[]} samples
 * @param {string} name
 * @param {Record<string, string>} labels
 */
function buckets(samples, name, labels) {
  /** @type {Map<number, number>} */
  const found = new Map();
  for (const one of samples) {
    if (one.name !== `${name}_bucket` || !has(one, labels)) continue;
    const bound = one.labels.le === "+Inf" ? Infinity : Number(one.labels.le);
    found.set(bound, (found.get(bound) ?? 0) + one.value);
  }
  return found;
}

/** @param {Sample} sample @param {Record<string, string>} labels */
const has = (sample, labels) => Object.entries(labels).every(([name, value]) => sample.labels[name] === value);
