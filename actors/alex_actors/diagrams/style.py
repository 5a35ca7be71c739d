"""How the page of a diagram looks: its style sheet, light and dark, wide and narrow."""

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c2127; --soft: #667080; --line: #b4bcc8;
  --band: #f4f6f9; --box: #e9eef6; --arrow: #1f5fbf; --answer: #2f7d4f; --bad: #c02626; --badpaper: #fdecec; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171c; --ink: #e4e8ee; --soft: #97a1b0; --line: #4a5361;
  --band: #1b2027; --box: #27303d; --arrow: #7fb0ff; --answer: #74c795; --bad: #ff8080; --badpaper: #3a1d20; } }
body { margin: 0; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.3rem; margin: 0 0 .6rem; } h2 { font-size: 1rem; margin: 0 0 .3rem; }
p { margin: .2rem 0; white-space: pre-wrap; overflow-wrap: anywhere; max-width: 60rem; }
.picture { overflow: auto; max-height: 85vh; margin: 1rem 0; border: 1px solid var(--line); border-radius: 8px; }
svg { display: block; font: 12px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
svg.names { position: sticky; top: 0; background: var(--paper); border-bottom: 1px solid var(--line); }
.names rect { fill: var(--box); stroke: var(--line); } .names text { fill: var(--ink); font-weight: 600; }
.rows text { fill: var(--ink); paint-order: stroke; stroke: var(--paper); stroke-width: 4px; }
.rows .when, .rows .left-out text { fill: var(--soft); }
.rows g { color: var(--arrow); } .rows .answer { color: var(--answer); } .rows .logged { color: var(--soft); }
.rows .crashed, .rows .lost, .rows .gave-up { color: var(--bad); }
.rows .crashed text, .rows .lost text, .rows .gave-up text { fill: var(--bad); }
.rows .waiting, .rows .elsewhere { color: var(--soft); }
.rows g:hover text { text-decoration: underline; }
.rows path, .rows circle, .rows rect { fill: currentColor; } .rows .band { fill: var(--band); }
.rows .line { fill: none; stroke: var(--line); stroke-width: 1.5; } .rows .down { stroke-dasharray: 2 5; }
.rows .arrow, .rows .cross { fill: none; stroke: currentColor; stroke-width: 1.6; }
.rows .cross { stroke-width: 2.4; }
.rows .answer .arrow, .rows .gave-up .arrow { stroke-dasharray: 6 4; }
.rows .hollow { fill: var(--paper); stroke: currentColor; stroke-width: 1.6; }
.rows .touch { fill: none; stroke: transparent; stroke-width: 16; pointer-events: stroke; }
.list { display: none; padding: 0; list-style: none; }
.list li { padding: .35rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
.list .when { display: block; color: var(--soft); font-size: .8rem; }
.list .crashed, .list .lost, .list .gave-up { color: var(--bad); } .list .left-out { color: var(--soft); }
.failed { border-left: 5px solid var(--bad); background: var(--badpaper); padding: .7rem 1rem; margin: 1rem 0; }
.failed h2 { color: var(--bad); }
@media (max-width: 640px) { .picture { display: none; } .list { display: block; } }
@media print { .picture { max-height: none; overflow: visible; border: 0; } }
"""
