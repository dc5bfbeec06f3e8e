"""Vocabularies that the replayed prompts are put together from."""

SUBJECTS = (
    "photosynthesis", "the French Revolution", "compound interest", "plate tectonics", "cell division",
    "irony in drama", "the water cycle", "Newton's laws", "supply and demand", "the periodic table", "haiku",
    "electric circuits", "the Silk Road", "fractions", "volcanoes", "Roman law", "the nitrogen cycle",
    "probability", "vaccines", "the Cold War", "sonnets", "magnetism", "the digestive system", "inflation",
    "glaciers", "genetics", "the Ottoman Empire", "similes", "acids and bases", "coral reefs",
    "linear equations", "the Renaissance", "sound waves", "migration", "enzymes", "the printing press",
    "triangles", "monsoons", "the moon landing", "climate zones", "bread baking", "bicycle repair",
    "houseplants", "chess openings", "knitting patterns", "tax returns", "wedding speeches", "hiking boots",
    "espresso machines", "solar panels", "guitar chords", "sourdough starters", "moving house",
    "job interviews", "budget travel", "aquariums", "beekeeping", "running shoes", "home insurance",
    "roof gutters", "video calls", "mortgage rates", "allergies in spring", "car tyres", "email etiquette",
    "toddler sleep", "vegetable gardens", "noise complaints", "train delays", "lost luggage",
    "database indexes", "memory leaks", "regular expressions", "unit tests", "race conditions",
    "container images", "API pagination", "date arithmetic", "binary search", "recursion", "load balancers",
    "feature flags", "session cookies", "message queues", "file locks", "text encodings", "retry budgets",
    "dependency injection", "garbage collection", "type inference",
)  # fmt: skip
PEOPLE = (
    "Amara", "Bogdan", "Chiara", "Dmitri", "Elif", "Farah", "Goran", "Hana", "Imani", "Jonas", "Katya", "Lior",
    "Mei", "Nadia", "Omar", "Priya", "Quentin", "Rosa", "Sven", "Tariq", "Uma", "Vera", "Wen", "Yusuf", "Zofia",
)  # fmt: skip
PLACES = (
    "Lisbon", "Tartu", "Nairobi", "Osaka", "Quito", "Gdansk", "Perth", "Tunis", "Leeds", "Pune", "Bergen",
    "Izmir", "Lima", "Graz", "Halifax", "Accra", "Riga", "Malaga", "Hanoi", "Cork",
)  # fmt: skip
GOODS = (
    "kettle", "raincoat", "standing desk", "headset", "bike lamp", "tent", "blender", "keyboard", "suitcase",
    "lamp shade", "water filter", "backpack", "yoga mat", "drill", "toaster", "monitor arm", "thermos",
    "router", "scarf", "armchair",
)  # fmt: skip
TROUBLES = (
    "arrived with a crack in it", "was charged twice", "never left the depot", "has the wrong colour",
    "stopped working after two days", "came without the manual", "was delivered to a neighbour", "does not fit",
    "makes a grinding noise", "shows error 41", "was promised for Monday", "cannot be returned online",
)  # fmt: skip
WISHES = (
    "I would like a refund", "please send a replacement", "can somebody call me back", "what are my options",
    "I need it before the weekend", "please cancel the order", "where do I send it back",
    "how long will that take",
)  # fmt: skip
VERBS = (
    "Summarize", "Explain", "Compare", "Rewrite", "Outline", "Translate into plain words", "Classify",
    "List the causes of", "Criticize", "Plan a lesson on", "Describe", "Debate", "Estimate",
    "Correct a paragraph about", "Give an analogy for", "Invent a story about", "Write a poem on",
    "Draft an email about", "Make a checklist for", "Find the flaw in a claim about",
)  # fmt: skip
FORMS = (
    "in three sentences", "as a table", "for a ten-year-old", "with one counterexample", "step by step",
    "for an expert", "as a dialogue", "in the style of a news item", "with numbers", "without jargon",
    "as bullet points", "in a friendly tone", "as a riddle", "for a busy manager",
)  # fmt: skip
FIELDS = (
    "name", "email", "phone", "street", "city", "postcode", "order_id", "amount", "currency", "created_at",
    "status", "sku", "quantity", "iban", "company", "vat_id", "latitude", "longitude", "birth_date", "plan",
)  # fmt: skip
LANGUAGES = (
    "German", "Spanish", "Polish", "Portuguese", "Turkish", "Swedish", "Czech", "Italian",
)  # fmt: skip
GRADES = (
    "year 7", "year 8", "year 9", "my evening class", "11th grade", "6th graders", "first-year students",
    "a revision lesson",
)  # fmt: skip
