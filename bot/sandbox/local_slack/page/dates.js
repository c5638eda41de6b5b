/** Times for people: the clock beside a message, the day between messages, and Slack's date tokens. */

const at = (options) => new Intl.DateTimeFormat(undefined, options);
const CLOCK = at({ hour: "numeric", minute: "2-digit" });
const CLOCK_SECONDS = at({ hour: "numeric", minute: "2-digit", second: "2-digit" });
const NUMERIC = at({ year: "numeric", month: "2-digit", day: "2-digit" });
const SHORT = at({ year: "numeric", month: "short", day: "numeric" });
const PLAIN = at({ year: "numeric", month: "long", day: "numeric" });
const LONG = at({ weekday: "long", year: "numeric", month: "long", day: "numeric" });
const RELATIVE = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

const DAY = 86400;
const UNITS = [
  ["day", DAY],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

const dateOf = (epoch) => new Date(epoch * 1000);

/** Whether there is a date so many seconds after 1970: anything may stand in a token. */
export const isMoment = (epoch) => !Number.isNaN(dateOf(epoch).getTime());

/** The hour and minute of a moment given in seconds since 1970. */
export const clock = (epoch) => CLOCK.format(dateOf(epoch));

/** Day, hour, minute and second, for a tooltip. */
export const moment = (epoch) => `${LONG.format(dateOf(epoch))}, ${CLOCK_SECONDS.format(dateOf(epoch))}`;

/** "Today", "Yesterday" or the day's date. */
export const day = (epoch) => pretty(epoch, LONG);

/** Replace Slack's `{date_short}` and the like in the format of a `<!date^…>` token. */
export function formatDate(epoch, format) {
  const tokens = {
    date_num: () => NUMERIC.format(dateOf(epoch)),
    date: () => PLAIN.format(dateOf(epoch)),
    date_short: () => SHORT.format(dateOf(epoch)),
    date_long: () => LONG.format(dateOf(epoch)),
    date_pretty: () => pretty(epoch, PLAIN),
    date_short_pretty: () => pretty(epoch, SHORT),
    date_long_pretty: () => pretty(epoch, LONG),
    time: () => CLOCK.format(dateOf(epoch)),
    time_secs: () => CLOCK_SECONDS.format(dateOf(epoch)),
    ago: () => ago(epoch),
  };
  return format.replace(/\{(\w+)\}/g, (whole, name) =>
    Object.hasOwn(tokens, name) ? tokens[name]() : whole,
  );
}

function pretty(epoch, otherwise) {
  for (const [distance, name] of [
    [0, "Today"],
    [-1, "Yesterday"],
    [1, "Tomorrow"],
  ]) {
    const then = new Date();
    then.setDate(then.getDate() + distance);
    if (then.toDateString() === dateOf(epoch).toDateString()) return name;
  }
  return otherwise.format(dateOf(epoch));
}

function ago(epoch) {
  const seconds = epoch - Date.now() / 1000;
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? UNITS.at(-1);
  return RELATIVE.format(Math.round(seconds / size), unit);
}
