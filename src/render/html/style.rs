//! The page's style sheet.

use crate::render::palette::{DARK, LIGHT};

/// All of it, with both schemes. Paper is always light.
pub(super) fn sheet() -> String {
    let (light, dark) = (LIGHT.css(), DARK.css());
    format!(
        ":root{{color-scheme:light dark;{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}{BASE}{FIRST}{DRAWING}{TABLE}{NARROW}{PAPER}"
    )
}

const BASE: &str = "\
*{box-sizing:border-box}\
html{-webkit-text-size-adjust:100%}\
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;overflow-wrap:anywhere}\
main{max-width:1080px;margin:0 auto;padding:24px 20px 56px}\
section{margin-top:40px}\
h1,h2,h3,p,ul,dl,dd,figure{margin:0;padding:0}\
h2{font-size:20px;line-height:1.3;margin-bottom:10px}\
h3{font-size:15px;margin:22px 0 6px}\
.v-pass{--v:var(--pass);--vg:var(--pass-ground)}.v-fail{--v:var(--fail);--vg:var(--fail-ground)}\
.v-open{--v:var(--open);--vg:var(--open-ground)}.v-stopped{--v:var(--stopped);--vg:var(--stopped-ground)}\
.v-refused{--v:var(--refused);--vg:var(--refused-ground)}\
.note{color:var(--muted);font-size:14px}.unknown{color:var(--open);font-style:italic}\
code{font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,'DejaVu Sans Mono',monospace}\
.sign{display:inline-block;min-width:1.1em;font-weight:700}.s-ok{color:var(--pass)}.s-bad{color:var(--fail)}.s-open{color:var(--open)}.s-off{color:var(--muted)}";

const FIRST: &str = "\
header{border-left:8px solid var(--v);background:var(--vg);padding:18px 24px 20px;border-radius:8px}\
.word{display:flex;align-items:center;gap:10px;font-size:22px;font-weight:800;letter-spacing:.05em;line-height:1.2;color:var(--v)}\
.word svg{width:26px;height:26px;flex:none}\
h1{font-size:26px;line-height:1.25;margin:6px 0 8px}\
.cause{font-size:18px}\
.reasons{margin:12px 0 0;padding-left:20px}.reasons li{margin-top:4px}.reasons .note{display:block}.reasons.lone{padding:0;margin-top:6px}\
.next{margin-top:12px;padding-top:12px;border-top:1px solid color-mix(in srgb,var(--v) 30%,transparent)}\
.meta{color:var(--muted);font-size:14px;margin:12px 2px 20px}.meta span{white-space:normal}.meta span+span::before{content:' · '}\
.alarm{margin-top:14px;border:2px solid var(--fail);background:var(--fail-ground);border-radius:8px;padding:14px 18px}\
.alarm strong{color:var(--fail)}\
.cards{display:grid;grid-template-columns:1.9fr 1fr 1fr 1fr;gap:14px}\
.cards.two{grid-template-columns:1.9fr 1fr}\
.card{border:1px solid var(--line);border-radius:8px;padding:14px 18px 16px;background:var(--card);min-width:0}\
.card.culprit{border-color:var(--fail);border-top-width:4px}.card.doubt{border-color:var(--open);border-top-width:4px}.card h2{font-size:13.5px;color:var(--muted);font-weight:600;margin:0}\
.big{font-size:27px;font-weight:700;line-height:1.2;margin:4px 0 6px}.big.long{font-size:19px}.cards>:first-child .big.long{font-size:27px}.big small{font-size:15px;font-weight:400;color:var(--muted);white-space:nowrap}\
.card .note+.note{margin-top:4px}.mind{margin-top:12px}.gap{margin-top:8px}.pairs.tight{margin-top:2px}\
.good{color:var(--pass)}.bad{color:var(--fail)}.opened{color:var(--open)}\
.bar{display:block;width:100%;height:30px;margin:8px 0 2px}\
.key{display:flex;flex-wrap:wrap;gap:2px 18px;font-size:13.5px;color:var(--muted)}.key span{display:inline-flex;align-items:center;gap:7px}\
.key i{display:inline-block;width:14px;height:10px;border-radius:2px;flex:none}\
.pairs{display:grid;grid-template-columns:auto 1fr;gap:1px 14px;font-size:14px;margin-top:10px}.pairs dt{color:var(--muted)}.pairs dd{font-variant-numeric:tabular-nums}";

const DRAWING: &str = "\
svg.timeline{display:block;width:100%;height:auto}\
svg.timeline text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:var(--ink)}\
svg.timeline .strong{font-weight:700}svg.timeline .name{font-weight:700;paint-order:stroke;stroke:var(--page);stroke-width:4px;stroke-linejoin:round}svg.timeline .quiet{fill:var(--muted)}\
.middle,.narrow{display:none}\
.up,.k-up{fill:var(--up);background:var(--up)}.down,.k-down{fill:var(--down);background:var(--down)}\
.unasked{fill:none;stroke:var(--unknown);stroke-dasharray:3 2}.k-unasked{border:1px dashed var(--unknown)}\
.edge,.k-edge{fill:var(--ink);background:var(--ink)}.wide-edge{fill-opacity:.55}.measured,.k-measured{fill:var(--accent);background:var(--accent)}\
.dimension{stroke:var(--accent);stroke-width:1.5}\
.p-baseline{fill:transparent;background:transparent}.p-disrupted{fill:var(--fail-ground);background:var(--fail-ground)}\
.p-recovering{fill:var(--refused-ground);background:var(--refused-ground)}.p-people{fill:var(--open-ground);background:var(--open-ground)}\
.p-settling{fill:var(--card);background:var(--card)}.p-verifying{fill:transparent;background:transparent}\
.key i[class^=p-]{border:1px solid var(--line);width:16px;height:12px}\
.grid{stroke:var(--line)}.axis{stroke:var(--muted)}\
.event{stroke:var(--muted);stroke-dasharray:2 3}.event-dot{fill:var(--muted)}.event-band{fill:var(--muted);opacity:.25}\
.event-injected{stroke:var(--ink);stroke-width:1.5}.event-injected-dot{fill:var(--ink)}.event-injected-band{fill:var(--ink);opacity:.25}\
.event-bad{stroke:var(--fail);stroke-width:1.5}.event-bad-dot{fill:var(--fail)}.event-bad-band{fill:var(--fail);opacity:.25}\
.objective{stroke:var(--ink);stroke-width:2;stroke-dasharray:7 3}.objective-dot{fill:var(--ink)}.objective-band{fill:var(--ink);opacity:.2}\
.plate{fill:var(--page)}.latency{fill:none;stroke:var(--accent);stroke-width:1.5}\
figure{margin:6px 0 0}figcaption{margin-top:8px}h3+figure{margin-top:0}\
.track{fill:var(--line)}.allowed{fill:var(--up)}.limit{stroke:var(--ink);stroke-width:2.5}\
.gantt{display:grid;grid-template-columns:minmax(90px,max-content) minmax(120px,1fr) max-content max-content;gap:8px 16px;align-items:center;font-size:14.5px}\
.gantt>div{display:contents}.gantt .n{text-align:right;font-variant-numeric:tabular-nums}.gantt svg{display:block;width:100%;height:18px}\
.gantt .detail{grid-column:2/-1;margin-top:-6px;color:var(--muted);font-size:13.5px}.work-bar{fill:var(--accent)}.work-bar.failed{fill:var(--down)}\
.wave{display:grid;grid-template-columns:minmax(140px,auto) 1fr;gap:4px 18px;border-top:1px solid var(--line);padding:10px 0}\
.wave ul{list-style:none;display:flex;flex-wrap:wrap;gap:8px}\
.wave li{border:1px solid var(--line);border-radius:6px;background:var(--card);padding:6px 12px;font-size:14px}\
.wave b.counts{font-size:17px;font-variant-numeric:tabular-nums;white-space:nowrap}";

const TABLE: &str = "\
table{border-collapse:collapse;width:100%;font-size:14.5px}\
th,td{text-align:left;padding:6px 12px 6px 0;border-bottom:1px solid var(--line);vertical-align:top}\
th{color:var(--muted);font-weight:600;font-size:13px}\
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}\
tr.t-bad td{background:var(--fail-ground)}tr.t-open td{background:var(--open-ground)}tr.t-bad td:first-child,tr.t-open td:first-child{padding-left:6px}\
td .unknown{white-space:normal}td .note{display:block;font-size:inherit}th.n+th:not(.n),td.n+td:not(.n){padding-left:14px}th,td{overflow-wrap:break-word}td .long{overflow-wrap:anywhere}td .long{min-width:7em;display:inline-block}\
.facts{display:grid;grid-template-columns:minmax(150px,max-content) 1fr;gap:4px 18px;font-size:14.5px}.facts dt{color:var(--muted)}.facts dd{min-width:0}\
.ids{columns:14em auto;font:13px/1.6 ui-monospace,SFMono-Regular,Menlo,'DejaVu Sans Mono',monospace;list-style:none;margin-top:6px}\
footer{margin-top:40px;border-top:1px solid var(--line);padding-top:12px}";

const NARROW: &str = "\
@media screen and (max-width:1119px){.wide{display:none}.middle{display:block;max-width:860px}}\
@media screen and (max-width:939px){.cards{grid-template-columns:1fr 1fr 1fr}.cards>:first-child{grid-column:1/-1}.cards.two{grid-template-columns:1fr}}\
@media screen and (max-width:719px){.middle{display:none}.narrow{display:block;max-width:480px}\
main{padding:14px 14px 40px}header{padding:14px 16px 16px}h1{font-size:21px}.cause{font-size:16.5px}section{margin-top:32px}\
.cards,.cards.two{grid-template-columns:1fr}\
table,tbody,tr,td{display:block}thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}\
tr{border-bottom:1px solid var(--line);padding:8px 0}td,td.n,td:first-child{border:0;padding:1px 0;text-align:left;white-space:normal}\
td[data-label]::before{content:attr(data-label);color:var(--muted);font-size:13px;margin-right:8px}\
td:empty{display:none}td:first-child{font-weight:600}td:first-child[data-label]::before{content:none}\
tr.t-bad,tr.t-open{padding-left:6px}tr.t-bad{background:var(--fail-ground)}tr.t-open{background:var(--open-ground)}tr.t-bad td:first-child,tr.t-open td:first-child{padding-left:0}\
.facts{grid-template-columns:1fr}.facts dd{margin-bottom:6px}\
.gantt{grid-template-columns:1fr auto auto}.gantt .name{grid-column:1}.gantt .strip{grid-column:1/-1;grid-row:auto;order:0}.gantt .detail{grid-column:1/-1}\
.gantt>div{display:grid;grid-template-columns:1fr auto auto;grid-column:1/-1;gap:2px 14px}.gantt .strip{order:1}.gantt .detail{order:2;margin:0}\
.wave{grid-template-columns:1fr}}";

const PAPER: &str = "\
@media print{@page{size:A4;margin:14mm 13mm}:root{color-scheme:light}\
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}body{font-size:10pt}main{max-width:none;padding:0}\
.wide,.narrow{display:none}.middle{display:block}.cards{grid-template-columns:1fr 1fr 1fr;gap:8px}.cards>:first-child{grid-column:1/-1}.cards.two{grid-template-columns:1fr}.card{padding:10px 12px}\
.big{font-size:17pt}.big.long,.cards>:first-child .big.long{font-size:12pt}.cards>:first-child .big.long{font-size:16pt}.big small,.card .note,.key,.pairs{font-size:9pt}h1{font-size:17pt}.cause{font-size:12pt}h2{font-size:13pt}\
section{margin-top:20pt}table,.facts,.gantt{font-size:9pt}code{font-size:8.5pt}\
header,.card,figure,tr,.wave,.gantt>div{break-inside:avoid}h2,h3{break-after:avoid}thead{display:table-header-group}}";
