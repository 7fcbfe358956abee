"""The words the simulated shop is written with: leaf categories, styles, colours, brand syllables.

Plain data, no logic; every brand is invented by joining two syllables.
"""

from __future__ import annotations

from typing import NamedTuple


class Leaf(NamedTuple):
    """One leaf category of the tree."""

    path: str
    nouns: tuple[str, ...]
    median_price: float
    goes_with: str
    """Last part of the path of the leaf whose items are bought together with these."""


LEAVES: tuple[Leaf, ...] = (
    Leaf("Home > Kitchen > Mugs", ("Mug", "Latte Cup", "Espresso Cup"), 9, "Teas"),
    Leaf("Pantry > Drinks > Teas", ("Green Tea", "Earl Grey", "Herb Infusion"), 7, "Mugs"),
    Leaf("Home > Kitchen > Pans", ("Frying Pan", "Saucepan", "Casserole"), 48, "Oils"),
    Leaf("Pantry > Larder > Oils", ("Olive Oil", "Sesame Oil", "Chilli Oil"), 12, "Pans"),
    Leaf("Home > Living > Candles", ("Scented Candle", "Pillar Candle", "Tealights"), 14, "Vases"),
    Leaf("Home > Living > Vases", ("Vase", "Jug", "Planter"), 24, "Candles"),
    Leaf("Fashion > Women > Dresses", ("Midi Dress", "Wrap Dress", "Slip Dress"), 62, "Scarves"),
    Leaf("Fashion > Women > Scarves", ("Scarf", "Shawl", "Bandana"), 26, "Dresses"),
    Leaf("Fashion > Men > Shirts", ("Oxford Shirt", "Linen Shirt", "Overshirt"), 44, "Belts"),
    Leaf("Fashion > Men > Belts", ("Belt", "Braces", "Card Holder"), 29, "Shirts"),
    Leaf("Fashion > Shoes > Trainers", ("Trainers", "Runners", "Court Shoes"), 78, "Socks"),
    Leaf("Fashion > Shoes > Socks", ("Crew Socks", "Ankle Socks", "Wool Socks"), 11, "Trainers"),
    Leaf("Beauty > Skin > Serums", ("Face Serum", "Eye Serum", "Night Oil"), 32, "Cleansers"),
    Leaf("Beauty > Skin > Cleansers", ("Cleanser", "Toner", "Face Wash"), 18, "Serums"),
    Leaf("Beauty > Bath > Soaps", ("Bar Soap", "Hand Wash", "Bath Salts"), 9, "Towels"),
    Leaf("Home > Bath > Towels", ("Bath Towel", "Hand Towel", "Bath Mat"), 21, "Soaps"),
    Leaf("Tech > Audio > Headphones", ("Headphones", "Earbuds", "Headset"), 96, "Cases"),
    Leaf("Tech > Phone > Cases", ("Phone Case", "Phone Sleeve", "Cable Wrap"), 19, "Headphones"),
    Leaf("Tech > Desk > Lamps", ("Desk Lamp", "Clip Lamp", "Reading Lamp"), 39, "Notebooks"),
    Leaf("Paper > Desk > Notebooks", ("Notebook", "Planner", "Sketchbook"), 13, "Pens"),
    Leaf("Paper > Desk > Pens", ("Fountain Pen", "Fineliner Set", "Pencil Set"), 16, "Notebooks"),
    Leaf("Garden > Tools > Trowels", ("Trowel", "Hand Fork", "Pruning Shears"), 18, "Seeds"),
    Leaf("Garden > Plants > Seeds", ("Wildflower Seeds", "Herb Seeds", "Bulbs"), 5, "Trowels"),
    Leaf("Sport > Yoga > Mats", ("Yoga Mat", "Yoga Block", "Yoga Strap"), 34, "Bottles"),
    Leaf("Sport > Outdoor > Bottles", ("Water Bottle", "Flask", "Tumbler"), 22, "Mats"),
    Leaf("Sport > Outdoor > Packs", ("Day Pack", "Duffel Bag", "Hip Pack"), 68, "Bottles"),
    Leaf("Kids > Play > Blocks", ("Building Blocks", "Stacking Rings", "Train Set"), 27, "Books"),
    Leaf("Kids > Read > Books", ("Picture Book", "Activity Book", "Story Box"), 12, "Blocks"),
    Leaf("Kids > Sleep > Blankets", ("Baby Blanket", "Sleep Sack", "Night Light"), 31, "Blocks"),
    Leaf("Pets > Dogs > Leads", ("Dog Lead", "Harness", "Collar"), 23, "Treats"),
    Leaf("Pets > Dogs > Treats", ("Dog Treats", "Chew Sticks", "Training Bites"), 8, "Leads"),
    Leaf("Home > Bedroom > Linen", ("Duvet Cover", "Pillowcase", "Fitted Sheet"), 54, "Candles"),
)

STYLES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("nordic", ("Nordic", "Fjord", "Birch")),
    ("rustic", ("Rustic", "Harvest", "Farmhouse")),
    ("botanical", ("Botanical", "Fern", "Meadow")),
    ("retro", ("Retro", "Diner", "Seventies")),
    ("minimal", ("Minimal", "Plain", "Mono")),
    ("coastal", ("Coastal", "Harbour", "Driftwood")),
    ("bold", ("Bold", "Carnival", "Neon")),
    ("classic", ("Classic", "Heritage", "Signature")),
)

COLOURS: tuple[str, ...] = (
    "Sage", "Ochre", "Ink", "Chalk", "Rose", "Slate",
    "Coral", "Moss", "Sand", "Plum", "Sky", "Clay",
)  # fmt: skip

BRAND_BEGINNINGS: tuple[str, ...] = (
    "Alder", "Brin", "Cald", "Dovel", "Elm", "Fen", "Gorse", "Holt", "Iver", "Jun", "Kest", "Lorn",
    "Marl", "Nett", "Orle", "Pell", "Quill", "Rusk", "Sorrel", "Thorn", "Ulm", "Vesk", "Wend",
    "Yarr",
)  # fmt: skip

BRAND_ENDINGS: tuple[str, ...] = (
    "wick", "mere", "oak", "by", "ley", "stone", "fold", "ette", "field", "works", "house", "lane",
)  # fmt: skip

COUNTRIES: tuple[tuple[str, float], ...] = (
    ("GB", 0.40), ("DE", 0.18), ("FR", 0.14), ("AE", 0.10), ("US", 0.10), ("NL", 0.08),
)  # fmt: skip

PLATFORMS: tuple[tuple[str, float], ...] = (
    ("web", 0.48), ("ios", 0.30), ("android", 0.20), ("tv", 0.02),
)  # fmt: skip
