"""Sentences are found with their places; abbreviations, initials and lists do not end them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.evaluation.checkers.sentence_split import abstains, sentence_spans

CASES = {
    "One. Two! Three? Four": ["One.", "Two!", "Three?", "Four"],
    "Dr. Smith met Mr. Jones in St. Louis. They spoke.": ["Dr. Smith met Mr. Jones in St. Louis.", "They spoke."],
    "J. R. R. Tolkien wrote it. C.S. Lewis read it.": ["J. R. R. Tolkien wrote it.", "C.S. Lewis read it."],
    "Pi is 3.14. It is irrational.": ["Pi is 3.14.", "It is irrational."],
    "See e.g. Fig. 3 and No. 5, i.e. two of them. Done.": ["See e.g. Fig. 3 and No. 5, i.e. two of them.", "Done."],
    "He lived in the U.S. The rest is unknown.": ["He lived in the U.S.", "The rest is unknown."],
    "The U.S. Army came. It left.": ["The U.S. Army came.", "It left."],
    "She works for Acme Inc. She likes it.": ["She works for Acme Inc.", "She likes it."],
    "She works for Acme Inc. in Rome.": ["She works for Acme Inc. in Rome."],
    'He said "Stop." Then he left.': ['He said "Stop."', "Then he left."],
    "(It rained.) We stayed.": ["(It rained.)", "We stayed."],
    "Wait... what? Yes.": ["Wait...", "what?", "Yes."],
    "So am I. We agree.": ["So am I.", "We agree."],
    "1. Born in 1900.\n2. Died in 1950.": ["Born in 1900.", "Died in 1950."],
    "- First point\n- Second point\n\n* Third": ["First point", "Second point", "Third"],
    "a heading\nA sentence.": ["a heading", "A sentence."],
    "It costs 5 dollars approx. and no more.": ["It costs 5 dollars approx. and no more."],
    "Visit example.com today. Then rest.": ["Visit example.com today.", "Then rest."],
    "他出生于1950年。他是作家！？他住在北京": ["他出生于1950年。", "他是作家！？", "他住在北京"],
    "他是作家.他住在北京?是的": ["他是作家.", "他住在北京?", "是的"],
    "圆周率是3．14。它是无理数．好": ["圆周率是3．14。", "它是无理数．", "好"],
    "彼は「はい。」と言った。そして帰った。": ["彼は「はい。」と言った。", "そして帰った。"],
    "वह एक लेखक है। वह दिल्ली में रहता है।": ["वह एक लेखक है।", "वह दिल्ली में रहता है।"],
    "هو كاتب؟ نعم. يعيش هنا۔ ثم": ["هو كاتب؟", "نعم.", "يعيش هنا۔", "ثم"],
    "Նա գրող է։ Նա ապրում է։": ["Նա գրող է։", "Նա ապրում է։"],
    "ጸሐፊ ነው። አዲስ አበባ ይኖራል።": ["ጸሐፊ ነው።", "አዲስ አበባ ይኖራል።"],
    "": [],
    "  \n ... \n": [],
    "No full stop": ["No full stop"],
}


@pytest.mark.parametrize("text", CASES)
def test_sentences(text: str) -> None:
    assert [text[start:end] for start, end in sentence_spans(text)] == CASES[text]


@given(st.text(alphabet="ab. !?\n1-)(\"'AZ\u2026", max_size=60))
def test_places_are_in_order_and_lose_no_letter(text: str) -> None:
    spans = sentence_spans(text)
    flat = [place for span in spans for place in span]
    assert flat == sorted(flat)
    assert all(start < end for start, end in spans)
    inside = "".join(text[start:end] for start, end in spans)
    # Only marks of lists, which are one letter or a number, are outside.
    assert [letter for letter in inside if letter in "AZ"] == [letter for letter in text if letter in "AZ"]


@pytest.mark.parametrize(
    ("sentence", "declines"),
    [
        ("I don't know.", True),
        ("I\u2019m sorry, but I cannot help with that.", True),
        ("I do not have any information about her.", True),
        ("As an AI language model, I have no access to that.", True),
        ("We are not aware of such a person.", True),
        ("I have no comment.", True),
        ("Could you please provide more context?", True),
        ("No information is available about this person.", True),
        ("There is no information about him.", True),
        ("Unfortunately, details about this person are not available.", True),
        ("I apologize, but no data exists on this individual.", True),
        ("I'm unable to help with that.", True),
        ("I lack information on her.", True),
        ("As an AI pioneer, he won the Turing Award in 2018.", False),
        ("As an AI, I know that he won it in 2018.", False),
        ("We do not have a king; the president is elected.", False),
        ("I could not find my keys, said the cat.", False),
        ("I cannot help but admire Ada Lovelace.", False),
        ("I'm afraid of dogs, wrote Freud in 1900.", False),
        ("I am unable to swim.", False),
        ("I'm not sure, but I think he was born in 1950.", False),
        ("I don't know, but he was born in 1950.", False),
        ("We have records of Ada.", False),
        ("She did not know the answer.", False),
        ("He cannot swim.", False),
        ("I think that Paris is the capital of France.", False),
        ("The AI was built in 1990.", False),
        ("I dont know.", True),
        ("I have never heard of him.", True),
        ("We haven't heard of this person.", True),
        ("My training data does not include this person.", True),
        ("That is beyond my knowledge.", True),
        ("I would need more context.", True),
        ("Please provide more details.", True),
        ("There isn't any information about her.", True),
        ("I must decline to answer.", True),
        ("I'm sorry, but as an AI, I cannot say.", True),
        ("I don't know, but more information is needed to answer.", True),
        ("No idea.", True),
        ('"I don\'t know."', True),
        ("Unknown to him, the king had died.", False),
        ('His song "I Can\'t Help Myself" reached number one.', False),
        ("The witness said, \u201cI don't know\u201d, and was fined 500 dollars.", False),
        ("I'm sorry, Turing was born in 1912.", False),
        ("I don't know why, but the capital is Canberra.", False),
        ("I'm not certain of the month; the year is 1912.", False),
        ("I don't know exactly, around 1912.", False),
        ("I cannot say enough about Paris, the capital of France.", False),
        ("I have never seen a film longer than that.", False),
    ],
)
def test_declining(sentence: str, declines: bool) -> None:
    assert abstains(sentence) is declines
