// Requests a picture from a server with @grpc/grpc-js, and prints the answer as JSON.
//
//     node check_client.cjs HOST:PORT CONTENT STYLE SETTINGS
//
// SETTINGS are integers in JSON, such as {"size": 256, "steps": 20}.

const fs = require('node:fs');
const path = require('node:path');
const grpc = require('@grpc/grpc-js');
const protoLoader = require('@grpc/proto-loader');

const [target, content, style, settings] = process.argv.slice(2);
const definition = protoLoader.loadSync(path.join(__dirname, 'prediction.proto'), {
  keepCase: true,
});
const { PredictionService } = grpc.loadPackageDefinition(definition).tensorflow.serving;
const client = new PredictionService(target, grpc.credentials.createInsecure(), {
  // By default, answers over 4 MiB are refused.
  'grpc.max_receive_message_length': -1,
});

const file = (name) => ({
  dtype: 'DT_STRING',
  tensor_shape: {},
  string_val: [fs.readFileSync(name)],
});
const inputs = { content_bytes: file(content), style_bytes: file(style) };
for (const [name, value] of Object.entries(JSON.parse(settings))) {
  inputs[name] = { dtype: 'DT_INT32', tensor_shape: {}, int_val: [value] };
}

const request = { model_spec: { name: 'tfnst' }, inputs };
const deadline = new Date(Date.now() + 600_000);
client.Predict(request, { deadline }, (error, response) => {
  const answer = error
    ? { code: grpc.status[error.code], details: error.details }
    : { image: response.outputs.image_bytes.string_val[0].toString('base64') };
  console.log(JSON.stringify(answer));
  client.close();
});
