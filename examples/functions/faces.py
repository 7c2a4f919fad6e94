import ai_integration
import cv2
import numpy as np
from PIL import Image

cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")


def faces(photo: Image.Image):
    """Finds the faces in a photo."""
    boxes = cascade.detectMultiScale(np.asarray(photo.convert("L")), minNeighbors=8)
    return [{"box": box} for box in boxes]


ai_integration.run(faces)
