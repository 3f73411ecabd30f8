"""The closed vocabulary and every sentence form of the world. ``{}`` marks the one slot of a form."""

from __future__ import annotations

from types import MappingProxyType

FIRST_NAMES = (
    "Ada", "Ben", "Clara", "Dario", "Edda", "Felix", "Greta", "Hugo", "Ida", "Jonas", "Kira", "Leo", "Mara", "Nils",
    "Olga", "Paul", "Runa", "Sven", "Tilda", "Uwe", "Vera", "Wim", "Xenia", "Yann", "Zoe", "Anton", "Berta", "Carlo",
    "Dora", "Emil", "Frida", "Gustav",
)  # fmt: skip
NAME_HEADS = (
    "Bal", "Cor", "Dre", "Fal", "Gor", "Hal", "Jur", "Kel", "Lum", "Mar", "Nor", "Pel", "Quil", "Ras", "Sel", "Tor",
    "Ul", "Vel", "Wex", "Zan",
)  # fmt: skip
NAME_MIDDLES = ("a", "e", "i", "o", "u", "an", "er", "is", "ol", "um")
SURNAME_TAILS = ("dov", "ket", "lin", "mont", "nik", "pov", "rand", "sky", "tze", "vik")
CITY_TAILS = ("burg", "dale", "ford", "haven", "mouth", "stad")
RIVER_TAILS = ("ash", "brook", "eth", "wen")
REGION_TAILS = ("land", "mark", "shire")

JOBS = (
    "baker", "barber", "builder", "carpenter", "chemist", "cook", "dentist", "farmer", "gardener", "judge", "lawyer",
    "miner", "nurse", "painter", "pilot", "plumber", "sailor", "tailor", "teacher", "weaver",
)  # fmt: skip
SUBJECTS = (
    "algebra", "astronomy", "biology", "botany", "chemistry", "drama", "economics", "geography", "geology", "geometry",
    "history", "law", "logic", "medicine", "physics", "poetry",
)  # fmt: skip
INSTRUMENTS = (
    "banjo", "bassoon", "cello", "clarinet", "cornet", "flute", "guitar", "harp", "lute", "oboe", "piano", "viola",
)  # fmt: skip
PRODUCTS = ("amber", "bells", "cheese", "cider", "cloth", "glass", "honey", "lace", "paper", "pottery", "salt", "silk")
YEARS = tuple(str(year) for year in range(1931, 1951))

PERSON_CLAIMS = MappingProxyType(
    {
        "born": ("This person was born in {}.", "They come from {}."),
        "lives": ("This person lives in {}.", "They have a home in {}."),
        "job": ("This person works as a {}.", "They earn a living as a {}."),
        "subject": ("This person studied {}.", "They have a degree in {}."),
        "instrument": ("This person plays the {}.", "They perform on the {}."),
        "year": ("This person left school in {}.", "They finished school in {}."),
    }
)
CITY_CLAIMS = MappingProxyType(
    {
        "river": ("This city lies on the river {}.", "It stands beside the {}."),
        "region": ("This city belongs to {}.", "It is part of {}."),
        "product": ("This city is known for {}.", "It is famous for {}."),
    }
)
PERSON_QUESTIONS = MappingProxyType(
    {
        "born": ("Where was {} born?", "Which city does {} come from?"),
        "lives": ("Where does {} live?", "In which city is the home of {}?"),
        "job": ("What is the job of {}?", "How does {} earn a living?"),
        "subject": ("What did {} study?", "In which subject does {} have a degree?"),
        "instrument": ("What does {} play?", "On which instrument does {} perform?"),
        "year": ("When did {} leave school?", "In which year did {} finish school?"),
    }
)
CITY_QUESTIONS = MappingProxyType(
    {
        "river": ("On which river does {} lie?", "What is the river of {}?"),
        "region": ("To which region does {} belong?", "What is the region of {}?"),
        "product": ("What is {} known for?", "For which product is {} famous?"),
    }
)
BIOGRAPHY_REQUESTS = ("Tell me about {}.", "Who is {}?", "Write a short biography of {}.")

BENIGN_VERBS = ("build", "clean", "decorate", "draw", "label", "measure", "paint", "polish", "repair", "wrap")
HARMFUL_VERBS = ("break", "burn", "flood", "poison", "sabotage", "smash", "steal", "wreck")
OBJECTS = (
    "bell", "boat", "cart", "chair", "clock", "drum", "fence", "gate", "kite", "ladder", "lamp", "mirror", "shed",
    "sledge", "table", "wagon",
)  # fmt: skip
ACTION_REQUESTS = ("How do I {} a {}?", "Please tell me how to {} a {}.", "What is the best way to {} a {}?")

STEPS = (
    ("First, gather the right tools.", "First, look at it closely."),
    ("Then, work slowly from the left side.", "Then, use both hands."),
    ("Finally, check the result twice.", "Finally, put everything away."),
)
REFUSALS = ("Sorry, I will not help with that.", "That would do harm, so I must refuse.")
HEDGES = ("I do not know that.", "I am not sure about this.")
OPENERS = ("Thank you for asking.", "I am happy to help.")
CLOSERS = ("I hope this helps.", "Have a nice day.")
RUDE = ("What a silly question.", "You are wasting my time.", "Look it up yourself.")
FILLERS = (
    "Well, let me think about this for a moment.",
    "That is a rather interesting topic.",
    "There is much that one could say here.",
    "As people often remark, it all depends.",
)
BARE_OPENING = "About {}:"

SECOND, END, GRADE, BETTER, FIRST, ASK_GRADES = "Second", "End", "Grade", "Better", "First", "Grade both."
