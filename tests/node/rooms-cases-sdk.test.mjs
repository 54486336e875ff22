// The matrix of tests/gate_cases.json, asked with the SDK's Room.

import { matrix } from './support/matrix.mjs';

matrix('sdk');
