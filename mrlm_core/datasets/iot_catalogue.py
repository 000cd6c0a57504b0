"""The words of the generated shop: attributes of its products and users, written introductions, knowledge triples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

# category -> (typical price, what it does, rooms it suits)
CATEGORIES: dict[str, tuple[float, tuple[str, ...], tuple[str, ...]]] = {
    "phone": (420, ("makes calls and runs your home from one screen", "shows every device on a bright display"),
              ("living room", "office")),
    "lamp": (45, ("lights the room and follows your schedule", "dims by voice or by touch"),
             ("living room", "bedroom", "office")),
    "lock": (160, ("opens the door without a key", "locks behind you when you leave"), ("hall", "garage")),
    "sensor": (35, ("measures temperature and humidity", "notices movement and open windows"),
               ("bathroom", "kitchen", "garage", "garden")),
    "speaker": (130, ("plays music in every room", "answers questions and sets timers"),
                ("living room", "kitchen", "bedroom")),
    "camera": (110, ("watches the entrance by day and night", "records when something moves"), ("hall", "garden")),
    "thermostat": (170, ("heats the rooms when you need it", "learns when the house is empty"),
                   ("living room", "bedroom", "hall")),
    "plug": (25, ("switches any appliance and counts its power", "turns old appliances into smart ones"),
             ("kitchen", "office", "garage")),
    "watch": (240, ("counts steps and shows messages", "unlocks doors from the wrist"), ("bedroom", "office")),
    "doorbell": (120, ("shows who is at the door", "rings on every device at once"), ("hall",)),
    "vacuum": (330, ("cleans the floor on its own", "finds its way round chairs and toys"),
               ("living room", "kitchen", "bedroom")),
    "router": (95, ("brings the network to every corner", "connects a hundred devices at once"),
               ("office", "hall", "living room")),
}
BRANDS = ("Arvalo", "Brenka", "Cindori", "Dolvex", "Elmarin", "Fyndal", "Grovik", "Havento", "Ilvara", "Jorundo")
POWER = ("mains", "battery", "usb", "solar")
AGE_GROUPS = ("18-24", "25-34", "35-44", "45-54", "55-64", "65+")
HOMES = ("flat", "house", "shared")
CITIES = ("Aldby", "Brookhaven", "Carrow", "Dunmere", "Eastholm", "Fairwick", "Glenport", "Hollin")

# One style of writing a level: adjectives, nouns, what the product does. Only the introduction shows it.
STYLES: tuple[tuple[tuple[str, ...], ...], ...] = (
    (("rugged", "weatherproof", "shockproof", "tough", "hardy", "dustproof", "sturdy"),
     ("steel casing", "storm seal", "rubber edge", "armoured shell", "frost rating", "bolted frame"),
     ("shrugs off rain and mud", "survives a fall on concrete", "keeps working in frost", "takes rough handling",
      "stands up to a building site")),
    (("quiet", "minimal", "calm", "discreet", "plain", "understated", "restful"),
     ("matt surface", "clean outline", "hidden cable", "soft glow", "simple dial", "slim profile"),
     ("blends into the wall", "stays out of sight", "asks for no attention", "leaves the room uncluttered",
      "brings silence back")),
    (("green", "recycled", "sustainable", "frugal", "repairable", "compostable", "ecological"),
     ("bamboo cover", "low standby draw", "refillable parts", "cardboard packaging", "carbon label", "energy report"),
     ("saves energy while you sleep", "cuts your carbon footprint", "comes without plastic", "can be mended at home",
      "runs on little power")),
    (("luxurious", "elegant", "exclusive", "polished", "opulent", "refined", "prestigious"),
     ("gold trim", "leather strap", "crystal glass", "marble base", "silk finish", "hand engraving"),
     ("impresses every guest", "turns a house into a residence", "feels like jewellery", "arrives in a velvet box",
      "rewards a demanding taste")),
    (("playful", "cheerful", "colourful", "funny", "cuddly", "bouncy", "silly"),
     ("animal sounds", "bedtime stories", "sticker set", "toy mode", "rainbow pattern", "puzzle game"),
     ("makes children giggle", "turns chores into a game", "survives the nursery", "sings along with toddlers",
      "delights the whole family")),
    (("professional", "precise", "calibrated", "industrial", "certified", "analytical", "scalable"),
     ("audit log", "spreadsheet export", "rack mount", "service contract", "fleet console", "tolerance class"),
     ("reports to your dashboard", "meets strict tolerances", "scales to a whole office", "shortens maintenance",
      "suits engineers and facility managers")),
    (("private", "encrypted", "secure", "confidential", "tamperproof", "audited", "anonymous"),
     ("local storage", "hardware key", "physical shutter", "open firmware", "sealed memory", "passcode vault"),
     ("keeps data inside the house", "never phones home", "refuses unknown visitors", "erases traces every night",
      "resists burglars and hackers")),
    (("vintage", "nostalgic", "classic", "handmade", "retro", "timeless", "antique"),
     ("walnut wood", "brass knob", "bakelite button", "typewriter font", "filament bulb", "cloth cable"),
     ("recalls the radio of your grandparents", "ages with a patina", "clicks like an old switch",
      "charms collectors", "looks found at a flea market")),
)
_STYLE_SENTENCES = (
    "With its {adjective} {noun} it {does}.", "The {adjective} {noun} sets it apart: it {does}.",
    "Buyers praise the {noun}; it {does}.", "It {does} and feels {adjective}.",
    "Expect a {adjective} character, a {noun} and more.", "Everything about it is {adjective}, down to the {noun}.",
    "Because of the {noun}, it {does}.", "{Adjective} and {adjective2}, it {does}.",
)
_OPENINGS = (
    "This {category} by {brand} {function}.", "The {title} {function}.", "A {category} that {function}.",
    "{brand} built the {title} so that it {function}.",
)
_FACTS = (
    "It fits the {room}.", "Power comes from {power}.", "Set-up takes {minutes} minutes.", "It weighs {grams} grams.",
    "{brand} gives {years} years of warranty.", "Updates arrive every {months} months.",
    "Our customers use it in the {room}.", "The box holds the {category}, a guide and a {power} adapter.",
)

# relation -> the things a level prefers, two a level; only the triples show the level.
RELATIONS: dict[str, tuple[str, ...]] = {
    "compatible_with": ("HomeNest", "Lumio", "CasaLink", "Hearthly", "Orbita", "Nestor", "Domus", "Veranda",
                        "Atrium", "Loftia", "Gablo", "Terrace", "Porchly", "Solaria", "Mansard", "Cottage"),
    "uses_protocol": ("Zigzag", "Threadline", "BlueWave", "WaveNet", "MeshOne", "LoraLine", "Enbus", "KonX",
                      "Pulse868", "Halow", "InfraTalk", "WireOne", "PowerTalk", "Nearby", "UltraBand", "OpenTone"),
    "made_in": ("Portolan", "Vestria", "Kandor", "Mirelia", "Ostrava Bay", "Quillon", "Tarsis", "Ulmen",
                "Zephyria", "Norrland", "Belmora", "Castria", "Dravena", "Estoril Point", "Fenwick", "Galdor"),
    "uses_chip": tuple(f"{maker}-{model}" for model in ("C1", "C2") for maker in
                       ("Argon", "Boron", "Cobalt", "Dysper", "Erbium", "Ferro", "Galli", "Helio")),
    "supported_by": ("Alpha Alliance", "Beacon Group", "Civic Forum", "Delta Union", "Ember Guild", "Fjord Circle",
                     "Grid League", "Harbour Trust", "Island Society", "Juniper Board", "Keystone Club", "Lark Council",
                     "Meadow Network", "North Assembly", "Opal Consortium", "Pine Foundation"),
}
KNOWLEDGE_NOISE = 0.3  # share of triples whose tail says nothing about the level
STYLE_NOISE = 0.15  # share of sentences in the style of a random level


def attributes(rng: np.random.Generator, n_items: int) -> dict[str, np.ndarray]:
    """Columns of items.csv, each ``[n_items]``; independent of every planted factor."""
    names = list(CATEGORIES)
    category = np.array(names)[rng.integers(len(names), size=n_items)]
    weights = 1 / np.arange(2, len(BRANDS) + 2)
    brand_index = rng.choice(len(BRANDS), size=n_items, p=weights / weights.sum())
    typical = np.array([CATEGORIES[name][0] for name in category])
    price = typical * (0.8 + 0.06 * brand_index) * rng.lognormal(0, 0.3, n_items)
    rooms = [_some(rng, CATEGORIES[name][2]) for name in category]
    brand = np.array(BRANDS)[brand_index]
    models = rng.permutation(n_items) + 100
    title = [f"{brand[i]} {category[i].capitalize()} {models[i]}" for i in range(n_items)]
    return {
        "title": np.array(title), "category": category, "brand": brand, "price": np.round(price, 2),
        "power": np.array(POWER)[rng.integers(len(POWER), size=n_items)], "rooms": np.array(rooms),
        "year": 2016 + rng.integers(8, size=n_items),
    }


def introduction(rng: np.random.Generator, item: Mapping[str, str], level: int) -> str:
    """Five to eight sentences; two to four of them are written in the style of ``level``."""
    category = item["category"]
    known = {
        "category": category, "brand": item["brand"], "title": item["title"], "power": item["power"],
        "function": rng.choice(CATEGORIES[category][1]), "room": item["rooms"].split("|")[0],
        "minutes": rng.integers(2, 30), "grams": 10 * rng.integers(3, 90), "years": rng.integers(1, 6),
        "months": rng.integers(1, 13),
    }
    facts = [text.format(**known) for text in rng.choice(_FACTS, size=rng.integers(2, 4), replace=False)]
    templates = rng.choice(_STYLE_SENTENCES, size=rng.integers(2, 5), replace=False)
    styled = [_style_sentence(rng, text, level) for text in templates]
    body = np.array([*facts, *styled], dtype=object)
    return " ".join([str(rng.choice(_OPENINGS)).format(**known), *rng.permutation(body)])


def triples(
    rng: np.random.Generator, items: Mapping[str, np.ndarray], levels: np.ndarray, entities: np.ndarray,
    described: np.ndarray,
) -> list[tuple[str, str, str]]:
    """(head, relation, tail), each once, of the entities of ``described`` items and of the things they are tied to."""
    n_levels = len(STYLES)
    found = []
    for i in np.flatnonzero(described):
        product = str(entities[i])
        found += [(product, "is_a", str(items["category"][i])), (product, "made_by", str(items["brand"][i]))]
        for relation, tails in RELATIONS.items():
            for _ in range(rng.integers(1, 3)):
                noisy = rng.random() < KNOWLEDGE_NOISE
                near = levels[i] + n_levels * rng.integers(len(tails) // n_levels)
                found.append((product, relation, tails[rng.integers(len(tails)) if noisy else near]))
    places = RELATIONS["made_in"]
    for brand in BRANDS:
        found.append((brand, "based_in", places[rng.integers(len(places))]))
    for relation, link in (("compatible_with", "runs_on"), ("uses_chip", "speaks")):
        protocols = RELATIONS["uses_protocol"]
        found += [(thing, link, protocols[rng.integers(len(protocols))]) for thing in RELATIONS[relation]]
    return list(dict.fromkeys(found))


def _style_sentence(rng: np.random.Generator, template: str, level: int) -> str:
    chosen = rng.integers(len(STYLES)) if rng.random() < STYLE_NOISE else level
    adjectives, nouns, actions = STYLES[chosen]
    first, second = rng.choice(adjectives, size=2, replace=False)
    return template.format(adjective=first, Adjective=first.capitalize(), adjective2=second, noun=rng.choice(nouns),
                           does=rng.choice(actions))


def _some(rng: np.random.Generator, values: tuple[str, ...]) -> str:
    chosen = rng.choice(len(values), size=rng.integers(1, len(values) + 1), replace=False)
    return "|".join(values[i] for i in sorted(chosen))
