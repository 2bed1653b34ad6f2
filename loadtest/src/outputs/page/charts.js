"use strict";
// Draws the charts that the page's data describes. Reads colours from the page's style, so that a change between
// light and dark draws them anew; numbers are written as in the page's tables.
(() => {
  const { charts } = JSON.parse(document.getElementById("data").textContent);
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const digits = (value) => (value < 9.995 ? 2 : value < 99.95 ? 1 : 0);

  const time = (ms) => {
    const [value, unit] = ms < 0.9995 ? [ms * 1e3, "µs"] : ms < 999.5 ? [ms, "ms"] : [ms / 1e3, "s"];
    return value.toFixed(digits(value)) + " " + unit;
  };
  const shortTime = (ms) => (ms < 1 ? +(ms * 1e3).toPrecision(3) + " µs" : ms < 1e3 ? +ms.toPrecision(3) + " ms"
    : +(ms / 1e3).toPrecision(3) + " s");
  const rate = (value) => value.toLocaleString("en", { maximumFractionDigits: value < 99.95 ? 1 : 0 });
  const percentile = (nines) => {
    const decimals = Math.max(0, Math.ceil(nines - 1e-9) - 2);
    return (100 * (1 - 10 ** -nines)).toFixed(nines % 1 ? decimals + 1 : decimals) + " %";
  };
  const HALF = Math.log10(2);
  const units = { per_second: { long: (v) => rate(v) + "/s", short: rate }, ms: { long: time, short: shortTime } };
  const axes = {
    time: { title: "at", long: (x) => +x.toFixed(2) + " s", short: (x) => +x.toFixed(2) + " s" },
    nines: { title: "percentile", long: percentile, short: (x) => (x === HALF ? "50 %" : percentile(x)) },
  };

  // The sums of each column and those before it; a hidden one adds nothing.
  const piled = (columns, isShown) => {
    const sums = columns[0].map(() => 0);
    return columns.map((column, n) => column.map((value, i) => (sums[i] += isShown(n) ? value || 0 : 0)));
  };

  const marks = (chart) => (u) => {
    const { ctx, bbox } = u;
    ctx.save();
    for (const [n, mark] of chart.marks.entries()) {
      const x = Math.round(u.valToPos(mark.at, "x", true));
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.strokeStyle = color("cursor");
      ctx.fillStyle = color("soft");
      ctx.font = 11 * devicePixelRatio + "px system-ui, sans-serif";
      ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      const gap = 5 * devicePixelRatio;
      const fits = x - gap - ctx.measureText(mark.label).width > bbox.left;
      ctx.textAlign = fits ? "right" : "left";
      ctx.fillText(mark.label, fits ? x - gap : x + gap, bbox.top + (12 + 13 * (n % 4)) * devicePixelRatio);
    }
    ctx.restore();
  };

  const series = (column, chart, raw, n) => {
    const stroke = color(column.color);
    const filled = chart.stacked || column.line === "filled";
    return {
      label: column.label,
      stroke,
      width: chart.stacked ? 1 : 2,
      dash: column.line === "dashed" ? [6, 5] : undefined,
      fill: filled ? stroke + (chart.stacked ? "d0" : "2b") : undefined,
      points: { show: chart.axis === "time" && !chart.stacked ? undefined : false, size: 4 },
      value: (u, value, s, i) => {
        const own = i == null ? null : raw[n][i];
        return own == null ? "–" : units[chart.unit].long(own);
      },
    };
  };

  const size = (place) => ({ width: place.clientWidth, height: innerWidth < 640 ? 230 : 290 });

  const options = (chart, place, columns, raw) => {
    const axis = { stroke: color("soft"), font: "12px system-ui, sans-serif", grid: { stroke: color("grid"), width: 1 },
      ticks: { show: false } };
    const along = axes[chart.axis];
    const decades = (u, splits) => splits.map((y) => (Number.isInteger(+Math.log10(y).toFixed(9)) ? y : null));
    const filter = chart.log ? decades : (u, splits) => splits;
    const nines = (u, a, min, max) => [0, ...(place.clientWidth < 480 ? [] : [HALF]), 1, 2, 3, 4, 5, 6, 7, 8, 9].filter((x) => x >= min && x <= max);
    return {
      ...size(place),
      padding: [10, 14, 0, 0],
      cursor: { sync: chart.axis === "time" ? { key: "run-" + chart.run } : undefined, points: { size: 7 }, y: false },
      scales: {
        x: { time: false },
        y: chart.log ? { distr: 3 } : { range: (u, min, max) => uPlot.rangeNum(0, Math.max(max, 1), 0.1, true) },
      },
      axes: [
        { ...axis, space: 60, size: 34, values: (u, splits) => splits.map((x) => along.short(x)),
          splits: chart.axis === "nines" ? nines : undefined },
        { ...axis, size: 64, filter, grid: { ...axis.grid, filter }, values: (u, splits) => splits.map((y) => (y == null ? "" : units[chart.unit].short(y))) },
      ],
      series: [
        { label: along.title, value: (u, x) => (x == null ? "–" : along.long(x)) },
        ...columns.map((column, n) => series(column, chart, raw, n)),
      ],
      bands: chart.stacked ? columns.slice(1).map((_, n) => ({ series: [n + 2, n + 1] })) : undefined,
      hooks: {
        draw: [marks(chart)],
        setSeries: [(u, n, change) => {
          if (!chart.stacked || change.show == null) return;
          u.setData([u.data[0], ...piled(raw, (i) => u.series[i + 1].show)]);
        }],
      },
    };
  };

  // Each name in the legend shows and hides its line, by mouse or by keyboard.
  const operable = (place) => {
    for (const name of place.querySelectorAll(".u-legend .u-series:not(:first-child) th")) {
      name.tabIndex = 0;
      name.setAttribute("role", "button");
      name.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        name.click();
      });
    }
  };

  const draw = (chart) => {
    const place = document.getElementById("chart-" + chart.id);
    place.replaceChildren();
    const columns = chart.tables.flatMap((table) => table.columns);
    if (!columns.some((column) => column.values.some((value) => value != null))) {
      place.textContent = "There is nothing to draw.";
      return [];
    }
    const joined = uPlot.join(chart.tables.map((table) => [table.x, ...table.columns.map((c) => c.values)]));
    const [x, ...raw] = joined;
    const values = chart.stacked ? piled(raw, () => true) : raw;
    const u = new uPlot(options(chart, place, columns, raw), [x, ...values], place);
    operable(place);
    return [{ u, place }];
  };

  let drawn = charts.flatMap(draw);
  const again = () => {
    for (const { u } of drawn) u.destroy();
    drawn = charts.flatMap(draw);
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  addEventListener("resize", () => {
    for (const { u, place } of drawn) u.setSize(size(place));
  });
})();
