"""The colours of figures and reports, told apart by colour-blind readers too (after Okabe and Ito 2008).

Each mapping names the same roles; the report picks one by the reader's light or dark preference.
"""

from __future__ import annotations

__all__ = ["DARK", "LIGHT"]

LIGHT = {
    "paper": "#ffffff",
    "panel": "#f6f7f9",
    "ink": "#16202b",
    "muted": "#55606e",
    "grid": "#e3e7ec",
    "truth": "#2b3440",
    "model": "#0067a6",
    "baseline": "#c24e00",
    "band-wide": "rgba(0, 114, 178, 0.15)",
    "band-narrow": "rgba(0, 114, 178, 0.28)",
    "good": "#00734f",
    "fair": "#8a6100",
    "poor": "#b3261e",
}
DARK = {
    "paper": "#12171d",
    "panel": "#1a2129",
    "ink": "#e8ecf1",
    "muted": "#a3aebb",
    "grid": "#2b343f",
    "truth": "#d5dbe3",
    "model": "#56b4e9",
    "baseline": "#f09a4a",
    "band-wide": "rgba(86, 180, 233, 0.22)",
    "band-narrow": "rgba(86, 180, 233, 0.34)",
    "good": "#4cc79e",
    "fair": "#e3b341",
    "poor": "#ff8a80",
}
