"""Rates how positive or negative an English text sounds."""

import json

from ai_integration.public_interface import start_loop
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

analyzer = SentimentIntensityAnalyzer()


def label(compound):
    """Returns a word for the score. The limits are those of VADER's authors."""
    if compound >= 0.05:
        return "positive"
    if compound <= -0.05:
        return "negative"
    return "neutral"


def infer(inputs):
    scores = analyzer.polarity_scores(inputs["text"])
    answer = {
        "label": label(scores["compound"]),
        "score": scores["compound"],
        "shares": {
            "positive": scores["pos"],
            "neutral": scores["neu"],
            "negative": scores["neg"],
        },
    }
    return {"content-type": "application/json", "data": json.dumps(answer), "success": True}


start_loop(
    inference_function=infer,
    inputs_schema={
        "text": {
            "type": "text",
            "description": "A sentence or a short paragraph in English.",
            "examples": ["The food was great, but we waited for an hour."],
        },
    },
)
