"""The model runs inside the event loop, which is the fastest way if one core is busy."""

import benchmodel
from fastapi import FastAPI, UploadFile
from fastapi.responses import StreamingResponse
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


@app.post("/wait")
async def wait(body: Text):
    return await benchmodel.wait(body.text)


@app.post("/stream")
async def stream(body: Text):
    return StreamingResponse(benchmodel.stream(body.text), media_type="text/plain")


@app.post("/pace")
async def pace(body: Text):
    return StreamingResponse(benchmodel.pace(body.text), media_type="text/plain")
