"""The model runs inside the event loop, which is the fastest way if one core is busy."""

import benchmodel
from fastapi import FastAPI, UploadFile
from pydantic import BaseModel

app = FastAPI()


class Text(BaseModel):
    text: str


@app.post("/text")
async def text(body: Text):
    return benchmodel.echo(body.text)


@app.post("/image")
async def image(image: UploadFile):
    return benchmodel.look(await image.read())


@app.post("/compute")
async def compute(body: Text):
    return benchmodel.compute(body.text)


@app.post("/batch")
async def batch(body: Text):
    return benchmodel.batch([body.text])[0]
