//! The messages of `ModelInfer` in the Open Inference Protocol. Fields that the load generator
//! neither sends nor reads are left out.

use prost::Message;

#[derive(Clone, Message)]
pub struct InferRequest {
    #[prost(string, tag = "1")]
    pub model_name: String,
    #[prost(string, tag = "3")]
    pub id: String,
    #[prost(message, repeated, tag = "5")]
    pub inputs: Vec<Tensor>,
    #[prost(bytes = "vec", repeated, tag = "7")]
    pub raw_input_contents: Vec<Vec<u8>>,
}

#[derive(Clone, Message)]
pub struct InferResponse {
    #[prost(message, repeated, tag = "5")]
    pub outputs: Vec<Tensor>,
    #[prost(bytes = "vec", repeated, tag = "6")]
    pub raw_output_contents: Vec<Vec<u8>>,
}

#[derive(Clone, Message)]
pub struct Tensor {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub datatype: String,
    #[prost(int64, repeated, tag = "3")]
    pub shape: Vec<i64>,
}

impl InferRequest {
    /// Returns a request with one text for an input of a model.
    pub fn new(model: &str, input: &str, text: &str) -> Self {
        let size = u32::try_from(text.len()).expect("the text is short");
        Self {
            model_name: model.to_owned(),
            // Without an id, some servers make one up.
            id: "1".to_owned(),
            inputs: vec![Tensor {
                name: input.to_owned(),
                datatype: "BYTES".to_owned(),
                shape: vec![1],
            }],
            raw_input_contents: vec![[&size.to_le_bytes(), text.as_bytes()].concat()],
        }
    }
}

impl InferResponse {
    /// Returns the only element of the only output, or `None` if the response differs from this.
    pub fn into_text(mut self) -> Option<String> {
        let mut content = self.raw_output_contents.pop()?;
        if !self.raw_output_contents.is_empty() || self.outputs.len() != 1 {
            return None;
        }
        let text = content.split_off(content.len().min(size_of::<u32>()));
        let size = u32::from_le_bytes(content.try_into().ok()?);
        (text.len() == usize::try_from(size).ok()?).then(|| String::from_utf8(text).ok())?
    }
}
